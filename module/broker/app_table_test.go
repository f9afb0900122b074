// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
)

var updateDocs = flag.Bool("update", false, "write the option tables of docs anew")

// The tables in docs are made from the code. To write them anew, run
// go test ./module/broker -run TestDocumentedOptions -update.
func TestDocumentedOptions(t *testing.T) {
	for _, table := range []struct{ page, name, text string }{
		{"../../docs/supervision.md", "child", childTable.MarkdownTable(false)},
		{"../../docs/supervision.md", "broker", appTable.MarkdownTable(false)},
		{"../../docs/supervision.md", "probe", probe.Table.MarkdownTable(false)},
		{"../../docs/supervision.md", "program", programTable.MarkdownTable(false)},
		{"../../docs/dynamic-membership.md", "network", cluster.Table.MarkdownTable(false)},
	} {
		t.Run(table.name, func(t *testing.T) {
			page, err := os.ReadFile(table.page)
			if err != nil {
				t.Fatal(err)
			}
			begin, end := "<!-- begin options: "+table.name+" -->\n", "<!-- end options: "+table.name+" -->"
			before, rest, ok1 := strings.Cut(string(page), begin)
			had, after, ok2 := strings.Cut(rest, end)
			if !ok1 || !ok2 {
				t.Fatalf("%s lacks the marks of the table", table.page)
			}
			if had == table.text {
				return
			}
			if !*updateDocs {
				t.Fatalf("%s is not what the table says; write it anew with -update", table.page)
			}
			if err := os.WriteFile(table.page, []byte(before+begin+table.text+end+after), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The structs that Caddy documents and the tables are the same lists.
func TestTablesFollowTheStructs(t *testing.T) {
	types := map[options.Kind][]reflect.Type{
		options.Bool:     {reflect.TypeFor[bool]()},
		options.Int:      {reflect.TypeFor[*int]()},
		options.Size:     {reflect.TypeFor[*int64]()},
		options.Duration: {reflect.TypeFor[*caddy.Duration]()},
		options.String:   {reflect.TypeFor[string](), reflect.TypeFor[*string]()},
		options.List:     {reflect.TypeFor[[]string]()},
		options.Pairs:    {reflect.TypeFor[map[string]string]()},
	}
	followTheStruct(t, childTable, types, "app_options.go")
	followTheStruct(t, appTable, types, "app.go", "off", "source", "admin_listen", "children", "network", "probes")
	followTheStruct(t, programTable, types, "app.go", "config", "verbatim")
	followTheStruct(t, cluster.Table, types, "../cluster/network.go")
}

func followTheStruct[S any](t *testing.T, table options.Table[S], types map[options.Kind][]reflect.Type, file string, besides ...string) {
	t.Helper()
	fields := make(map[string]reflect.Type)
	for field := range reflect.TypeFor[S]().Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			fields[name] = field.Type
		}
	}
	comments := fieldComments(t, file, reflect.TypeFor[S]().Name())
	for i := range table {
		row := &table[i]
		ok := false
		for _, typ := range types[row.Kind] {
			ok = ok || fields[row.Name] == typ
		}
		if !ok {
			t.Errorf("option %s has a field of type %v, want one of %v", row.Name, fields[row.Name], types[row.Kind])
		}
		delete(fields, row.Name)
		if row.Default == "" || row.Allowed == "" || !strings.HasSuffix(row.Effect, ".") {
			t.Errorf("option %s: default, allowed values or effect is missing", row.Name)
		}
		if row.Kind == options.Duration && !strings.Contains(row.Expecting(options.JSONUnits), options.DurationText) {
			t.Errorf("option %s: errors do not name the unit: %s", row.Name, row.Expecting(options.JSONUnits))
		}
		_, said, has := strings.Cut(comments[row.Name], "Default: ")
		if value := strings.Trim(row.Default, "`"); has && !strings.HasPrefix(strings.Trim(said, "`"), strings.Split(value, "`")[0]) {
			t.Errorf("option %s: the comment says that the default is %s, the table %s", row.Name, said, row.Default)
		}
	}
	for _, name := range besides {
		delete(fields, name)
	}
	for name := range fields {
		t.Errorf("field %s is no option", name)
	}
}

// fieldComments are the comments of a struct's fields by their names in JSON.
func fieldComments(t *testing.T, file, name string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := make(map[string]string)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != name {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			if field.Tag != nil {
				key, _, _ := strings.Cut(strings.TrimPrefix(field.Tag.Value, "`json:\""), ",")
				comments[strings.Trim(key, "\"`")] = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
		}
		return false
	})
	return comments
}

// What is left open has the default of the table.
func TestChildDefaults(t *testing.T) {
	spec, err := (&Child{Config: json.RawMessage("{}")}).spec(DefaultChild, ChildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"standby": spec.Standby, "restart_delay": spec.Restart.Delay, "max_restart_delay": spec.Restart.MaxDelay,
		"restart_reset": spec.Restart.Reset, "ready_timeout": spec.ReadyTimeout, "watchdog": spec.Watchdog,
		"drain_timeout": spec.DrainTimeout, "stop_timeout": spec.StopTimeout, "ha_log": spec.haLog, "user": spec.User,
	}
	want := map[string]any{
		"standby": 0, "restart_delay": 2 * time.Second, "max_restart_delay": time.Minute,
		"restart_reset": 10 * time.Second, "ready_timeout": 30 * time.Second, "watchdog": 15 * time.Second,
		"drain_timeout": time.Minute, "stop_timeout": time.Duration(0), "ha_log": "broker_ha.log", "user": "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestChildOptionsInEffect(t *testing.T) {
	tests := []struct{ name, json, want string }{
		{"the cap follows a longer delay", `{"restart_delay":"5m"}`, "5m 5m 15s broker_ha.log"},
		{"watchdog off", `{"watchdog":-1}`, "2s 1m 0 broker_ha.log"},
		{"watchdog 0", `{"watchdog":0}`, "2s 1m 0 broker_ha.log"},
		{"no log", `{"ha_log":"off"}`, "2s 1m 15s "},
		{"names in any case", `{"Restart_Delay":"1s"}`, "1s 1m 15s broker_ha.log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := &Child{Config: json.RawMessage("{}")}
			if err := caddy.StrictUnmarshalJSON([]byte(tt.json), c); err != nil {
				t.Fatal(err)
			}
			spec, err := c.spec(DefaultChild, c.optionsWith(ChildOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join([]string{
				options.Text(spec.Restart.Delay), options.Text(spec.Restart.MaxDelay), options.Text(spec.Watchdog), spec.haLog,
			}, " ")
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// badValues has for every option a JSON value that is not allowed, and what the
// error shows of it.
var badValues = map[string]struct{ json, shown string }{
	"max_generations":     {`1`, "1"},
	"max_drains":          {`0`, "0"},
	"standby":             {`9`, `"9"`},
	"restart_delay":       {`"soon"`, `"soon"`},
	"max_restart_delay":   {`-5`, `"-5ns"`},
	"restart_reset":       {`"-1s"`, `"-1s"`},
	"ready_timeout":       {`0`, `"0"`},
	"watchdog":            {`"1s"`, `"1s"`},
	"drain_timeout":       {`true`, `"true"`},
	"stop_timeout":        {`"5"`, `"5"`},
	"replace":             {`"later"`, `"later"`},
	"max_memory":          {`0`, `"0"`},
	"max_memory_interval": {`"0s"`, `"0"`},
	"gc":                  {`"off"`, `"off"`},
	"ha_log":              {`""`, `""`},
	"state_dir":           {`""`, `""`},
	"probation":           {`"2h"`, `"2h"`},
	"probation_errors":    {`"5"`, `"5"`},
	"probation_requests":  {`0`, "0"},
	"user":                {`"no user, surely"`, `"no user, surely"`},
	"env":                 {`{"A=B":"c"}`, `"A=B"`},
	"command":             {`"sh -c true"`, `"sh -c true"`},
	"listen":              {`80`, `"80"`},

	"name":                             {`"a b"`, `"a b"`},
	"advertise":                        {`["10.0.0.1"]`, `"10.0.0.1"`},
	"bind":                             {`"localhost:1"`, `"localhost:1"`},
	"seeds":                            {`["a"]`, `"a"`},
	"key":                              {`"hush, hush"`, ``},
	"update_cluster_clients":           {`"yes"`, `"yes"`},
	"update_cluster_clients_on_remove": {`1`, `"1"`},
	"rebalance_cluster_clients":        {`"no"`, `"no"`},
	"update_cluster_filter":            {`["*"]`, `"*"`},
}

// Every error of a value in JSON names the option, the value and the way out.
func TestBadValuesInJSON(t *testing.T) {
	child := func(data string) error {
		c := &Child{Config: json.RawMessage("{}")}
		if err := caddy.StrictUnmarshalJSON([]byte(data), c); err != nil {
			return err
		}
		return c.Check(DefaultChild, ChildOptions{})
	}
	network := func(data string) error {
		n := &cluster.Network{Name: "a", Advertise: []string{"http://a:80"}, Bind: "127.0.0.1:7946"}
		if err := caddy.StrictUnmarshalJSON([]byte(data), n); err != nil {
			return err
		}
		return n.Check()
	}
	badValuesIn(t, childTable, child)
	badValuesIn(t, appTable, func(data string) error {
		a := new(App)
		if err := caddy.StrictUnmarshalJSON([]byte(data), a); err != nil {
			return err
		}
		return appTable.Check(a)
	})
	badValuesIn(t, programTable, child)
	badValuesIn(t, cluster.Table, network)
}

func badValuesIn[S any](t *testing.T, table options.Table[S], load func(string) error) {
	for i := range table {
		row := &table[i]
		t.Run(row.Name, func(t *testing.T) {
			bad, ok := badValues[row.Name]
			if !ok {
				t.Fatal("badValues lacks it")
			}
			err := load(`{"` + row.Name + `":` + bad.json + `}`)
			if err == nil {
				t.Fatalf("%s was taken", bad.json)
			}
			for _, part := range []string{"option " + row.Name, bad.shown, "expecting " + row.Expecting(options.JSONUnits)} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want %q in it", err, part)
				}
			}
			if row.Secret && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

// An unknown name gets the nearest one first, and then all.
func TestUnknownNamesInJSON(t *testing.T) {
	tests := []struct{ json, want string }{
		{`{"restart_dely":"3s"}`, `unknown option "restart_dely": did you mean restart_delay? allowed are standby, restart_delay, `},
		{`{"child":{}}`, `unknown option "child": did you mean children? allowed are `},
		{`{"children":{"b":{},"a":{"comand":["x"]}}}`, `children: a: unknown option "comand": did you mean command? allowed are standby, `},
		{`{"network":{"nome":"a"}}`, `network: unknown option "nome": did you mean name? allowed are name, advertise, `},
		{`{"source":{"path":"a"}}`, `source: json: unknown field "path"`},
		{`{"bogus":1}`, `unknown option "bogus": allowed are standby, restart_delay, max_restart_delay, restart_reset, ready_timeout, watchdog, drain_timeout, stop_timeout, max_generations, max_drains, replace, max_memory, max_memory_interval, gc, ha_log, user, env, admin_listen, children, network, off, probation, probation_errors, probation_requests, probes, source`},
	}
	for _, tt := range tests {
		if err := caddy.StrictUnmarshalJSON([]byte(tt.json), new(App)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.json, err, tt.want)
		}
	}
}

// A busy process must have more time than a pool has to answer.
func TestEchoTimeLeavesRoomForTheWatchdog(t *testing.T) {
	if child.EchoTime >= minWatchdog {
		t.Errorf("pools have %v to answer, and a process %v", child.EchoTime, minWatchdog)
	}
}
