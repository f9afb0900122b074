// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

func adapt(t *testing.T, caddyfile string) map[string]any {
	t.Helper()
	out, _, err := Adapter{}.Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// at walks down a tree of objects; nil is "not there".
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func TestAdapterSplits(t *testing.T) {
	t.Parallel()
	config := adapt(t, `{
		admin localhost:2020
		storage file_system /tmp/somewhere
		log {
			output file /var/log/caddy.log
			level DEBUG
			format json
		}
		broker {
			standby 1
			restart_delay 3s
			watchdog off
			env GREETING hello
			child worker {
				command /bin/sh -v
				listen tcp/127.0.0.1:9000
				restart_delay 5s
			}
		}
	}
	example.com {
		log {
			output stdout
		}
		respond "hi"
	}`)
	child := at(config, "apps", "broker", "children", "default", "config")
	for _, c := range []struct {
		what string
		got  any
		want any
	}{
		{"admin stays", at(config, "admin", "listen"), "localhost:2020"},
		{"the user's own configuration is whole", at(child, "admin", "listen"), "localhost:2020"},
		{"and marked as that", at(config, "apps", "broker", "children", "default", "verbatim"), true},
		{"storage of the parent", at(config, "storage", "root"), "/tmp/somewhere"},
		{"storage of the child", at(child, "storage", "root"), "/tmp/somewhere"},
		{"the parent serves nothing", at(config, "apps", "http"), nil},
		{"the child serves", at(child, "apps", "http") != nil, true},
		{"the user's options", at(child, "apps", "broker", "standby"), 1.0},
		{"the parent logs to stderr", at(config, "logging", "logs", "default", "writer", "output"), "stderr"},
		{"in the user's level", at(config, "logging", "logs", "default", "level"), "DEBUG"},
		{"and format", at(config, "logging", "logs", "default", "encoder", "format"), "json"},
		{"the child logs to the file", at(child, "logging", "logs", "default", "writer", "filename"), "/var/log/caddy.log"},
		{"access logs are the child's", at(child, "logging", "logs", "log0") != nil, true},
		{"access logs are not the parent's", at(config, "logging", "logs", "log0"), nil},
		{"standby", at(config, "apps", "broker", "standby"), 1.0},
		{"restart_delay", at(config, "apps", "broker", "restart_delay"), 3e9},
		{"watchdog off", at(config, "apps", "broker", "watchdog"), -1.0},
		{"env", at(config, "apps", "broker", "env", "GREETING"), "hello"},
		{"program", at(config, "apps", "broker", "children", "worker", "command"), []any{"/bin/sh", "-v"}},
		{"its sockets", at(config, "apps", "broker", "children", "worker", "listen"), []any{"tcp/127.0.0.1:9000"}},
		{"its own option", at(config, "apps", "broker", "children", "worker", "restart_delay"), 5e9},
		{"the adapter", at(config, "apps", "broker", "source", "adapter"), "broker"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, c.got, c.want)
		}
	}
}

// What a child has is what the stock adapter yields, to the letter.
func TestAdapterLeavesSitesAlone(t *testing.T) {
	t.Parallel()
	const sites = `
	:8080 {
		reverse_proxy 127.0.0.1:9000
	}
	a.example.com, b.example.com {
		root * /srv
		file_server
	}
	http://c.example.com {
		bind unix//run/c.sock|0660
		respond "c"
	}`
	plain, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(sites), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(plain, &want); err != nil {
		t.Fatal(err)
	}
	got := at(adapt(t, sites), "apps", "broker", "children", "default", "config")
	if !reflect.DeepEqual(got, any(want)) {
		t.Errorf("the child's configuration differs from the plain one:\n%v\n%v", got, want)
	}
}

func TestAdapterTakesJSON(t *testing.T) {
	t.Parallel()
	config := adapt(t, `{"apps":{"http":{"servers":{"s":{"listen":[":1"]}}},"broker":{"standby":2}}}`)
	if at(config, "apps", "broker", "children", "default", "config", "apps", "http", "servers", "s") == nil {
		t.Error("the server is not the child's")
	}
	if at(config, "apps", "broker", "standby") != 2.0 {
		t.Error("the broker's options are lost")
	}
}

// What was adapted once is adapted to itself.
func TestAdapterTakesItsOwn(t *testing.T) {
	t.Parallel()
	once, _, err := Adapter{}.Adapt([]byte("{\nbroker {\nstandby 1\n}\n}\n:80 {\n}\n"), map[string]any{"filename": "/etc/Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Adapter{}.Adapt(once, map[string]any{"filename": "/etc/saved.json"})
	if err != nil || string(again) != string(once) {
		t.Errorf("%s has become %s (%v)", once, again, err)
	}
}

// With the option off the configuration stays as it is.
func TestAdapterLeavesOffAlone(t *testing.T) {
	t.Parallel()
	config := adapt(t, "{\nbroker off\n}\n:80 {\n}\n")
	if at(config, "apps", "broker", "off") != true || at(config, "apps", "http") == nil || at(config, "apps", "broker", "children") != nil {
		t.Errorf("got %v", config)
	}
}

func TestAdapterRefusesUnknownJSON(t *testing.T) {
	t.Parallel()
	_, _, err := Adapter{}.Adapt([]byte(`{"apps":{"broker":{"restart_dely":"3s"}}}`), nil)
	if err == nil || !strings.Contains(err.Error(), "restart_dely") {
		t.Errorf("got %v, want the unknown key named", err)
	}
}

func TestOptionTwice(t *testing.T) {
	t.Parallel()
	_, _, err := Adapter{}.Adapt([]byte("{\nbroker {\n}\nbroker {\n}\n}\n:80 {\n}\n"), map[string]any{"filename": "Caddyfile"})
	if err == nil || !strings.Contains(err.Error(), "already specified") || !strings.Contains(err.Error(), "Caddyfile:4") {
		t.Errorf("got %v, want the line of the second block", err)
	}
}

func TestOptionErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, option, want string }{
		{"unknown option", "retries 3", `unknown option "retries": allowed are standby, `},
		{"unknown option names the known", "retries 3", "standby, restart_delay"},
		{"bad duration", "restart_delay soon", `option restart_delay: value "soon" is not allowed: expecting a duration such as 500ms, 2s or 1m, at least 0`},
		{"negative duration", "restart_delay -1s", `option restart_delay: value "-1s" is not allowed: expecting a duration such as 500ms, 2s or 1m, at least 0`},
		{"bad count", "standby many", `option standby: value "many" is not allowed: expecting a whole number from 0 to 8`},
		{"missing value", "standby", "option standby: it has no value; expecting a whole number from 0 to 8"},
		{"too many values", "ha_log a b", "option ha_log: it has several values; expecting the path of a file, or off"},
		{"twice", "standby 1\nstandby 2", "option standby is already given: remove one"},
		{"contradiction", "restart_delay 5s\nmax_restart_delay 1s", "options restart_delay and max_restart_delay contradict each other: a first delay of 5s is longer than the longest, 1s; raise max_restart_delay to at least 5s"},
		{"watchdog 0", "watchdog 0", `option watchdog: value "0": use off to disable it`},
		{"child without command", "child x {\n}", `child "x" has no command`},
		{"child default", "child default {\n}", `child "default" runs the sites`},
		{"child twice", "child x {\ncommand sh\n}\nchild x {\ncommand sh\n}", `child "x" is already specified`},
		{"unknown child option", "child x {\ncommand sh\nnice 3\n}", `unknown option "nice": allowed are command, listen, standby, `},
		{"too many spares", "standby 99", `option standby: value "99" is not allowed: expecting a whole number from 0 to 8, at Caddyfile:3`},
		{"a watchdog that bites at once", "watchdog 1s", `option watchdog: value "1s" is not allowed: expecting a duration such as 500ms, 2s or 1m, at least 3s, or off (-1 in JSON), at Caddyfile:3`},
		{"no time to get ready", "ready_timeout 0", `option ready_timeout: value "0" is not allowed: expecting a duration such as 500ms, 2s or 1m, above 0, at Caddyfile:3`},
		{"less than the default", "max_restart_delay 1s", "a first delay of 2s is longer than the longest, 1s; raise max_restart_delay to at least 2s"},
		{"unknown user", "user nobody-of-that-name", "nobody-of-that-name"},
		{"env name", "env A=B c", `option env: value "A=B c": "A=B" is not a name; expecting a name without = and a value, at Caddyfile:3`},
		{"empty log", `ha_log ""`, `option ha_log: value "" is not allowed: expecting the path of a file, or off`},
		{"unknown program", "child x {\ncommand ./no-such-program\n}", `child "x": option command: program "./no-such-program"`},
		{"env twice", "env A 1\nenv A 2", `"A" is already given, remove one`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Adapter{}.Adapt([]byte("{\nbroker {\n"+c.option+"\n}\n}\n:80 {\n}\n"), map[string]any{"filename": "Caddyfile"})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "at Caddyfile:") {
				t.Errorf("got %v, want %q and the line in it", err, c.want)
			}
		})
	}
}

func TestOffErrors(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{
		"broker on":                     "only off is said on its line",
		"broker off now":                "wrong argument count",
		"broker off {\nstandby 1\n}":    "has no options",
		"broker off\nbroker {\n}":       "already specified",
		"broker {\n}\nbroker off":       "already specified",
		"broker {\noff\n}":              `unknown option "off"`,
		"broker off {\nchild x {\n}\n}": "has no options",
	} {
		_, _, err := Adapter{}.Adapt([]byte("{\n"+option+"\n}\n:80 {\n}\n"), map[string]any{"filename": "Caddyfile"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", option, err, want)
		}
	}
}

func TestWatchdogOffIsNotADuration(t *testing.T) {
	t.Parallel()
	if broker.WatchdogOff >= 0 {
		t.Error("a duration that a user can write means off")
	}
}
