// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const referencePage = "docs/reference.md"

var update = flag.Bool("update", false, "write the tables of docs/reference.md anew")

// The tables of the reference are made from the code. To write them anew, run
// go test . -run TestReferencePage -update.
func TestReferencePage(t *testing.T) {
	data, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	s := readSource(t)
	page := string(data)
	for marker, table := range map[string]func(*testing.T, *source) string{
		"child states": childStates, "pool states": poolStates, "upstream states": upstreamStates, "notes": statusNotes, "exit reasons": exitReasons,
		"metrics": metricsTable, "events": eventsTable, "log lines": logTable, "proxy-status": faultTable, "refusals": refusalTable,
		"api": apiTables, "ha log": haLogTable, "exit codes": exitCodeTable,
	} {
		begin, end := "<!-- begin generated: "+marker+" -->\n", "<!-- end generated: "+marker+" -->"
		before, rest, ok1 := strings.Cut(page, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s lacks the marks of the table %s", referencePage, marker)
		}
		page = before + begin + table(t, s) + end + after
	}
	if page == string(data) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; write it anew with go test . -run TestReferencePage -update", referencePage)
	}
	if err := os.WriteFile(referencePage, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table is one of Markdown.
type table struct {
	head []string
	rows [][]string
}

func (tb *table) add(cells ...string) { tb.rows = append(tb.rows, cells) }

func (tb *table) String() string {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			c = strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`)
			b.WriteString(strings.TrimRight("| "+c, " ") + " ")
		}
		b.WriteString("|\n")
	}
	line(tb.head)
	b.WriteString(strings.Repeat("|---", len(tb.head)) + "|\n")
	for _, row := range tb.rows {
		line(row)
	}
	return b.String()
}

// code sets off what is written as it is; nothing stays nothing.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// codes are several of them.
func codes(list []string) string {
	quoted := make([]string, len(list))
	for i, v := range list {
		quoted[i] = code(cmp.Or(v, `""`))
	}
	return strings.Join(quoted, ", ")
}

// sentence is a comment of the code as prose.
func sentence(comment string) string {
	comment = strings.TrimSpace(strings.NewReplacer("\n", " ", "[", "", "]", "").Replace(comment))
	if comment == "" {
		return ""
	}
	if !strings.HasSuffix(comment, ".") {
		comment += "."
	}
	return strings.ToUpper(comment[:1]) + comment[1:]
}

func constantsTable(list ...[]constant) string {
	tb := table{head: []string{"name", "means"}}
	seen := map[string]bool{}
	for _, c := range slices.Concat(list...) {
		if !seen[c.value] {
			tb.add(code(c.value), sentence(c.comment))
		}
		seen[c.value] = true
	}
	return tb.String()
}

func childStates(t *testing.T, s *source) string {
	return constantsTable(s.constants(t, "supervisor", "state"), s.constants(t, "supervisor", "phase"))
}

func exitReasons(t *testing.T, s *source) string {
	return constantsTable(s.constants(t, "supervisor/exits", ""))
}

func poolStates(t *testing.T, s *source) string {
	return codes(s.returned(t, "failover", "machine.state")) + "\n"
}

func upstreamStates(t *testing.T, s *source) string {
	return codes(slices.Concat(s.returned(t, "failover", "memberState.String"), s.returned(t, "failover", "Member.status"), []string{"removed"})) + "\n"
}

func statusNotes(t *testing.T, s *source) string {
	const dir, name = "module/command", "notes"
	tb := table{head: []string{"note"}}
	for _, call := range callsIn(s.function(t, dir, name)) {
		if nameOf(call) == "add" {
			tb.add(code(s.phrase(dir, call.Args[0])))
		}
	}
	return tb.String()
}

func haLogTable(t *testing.T, s *source) string {
	texts := map[string][]string{}
	for _, f := range s.functions() {
		prefix := ""
		switch f.dir {
		case "supervisor":
		case "supervisor/halog":
			prefix = "halog."
		default:
			continue
		}
		for _, call := range callsIn(f.decl) {
			if n := nameOf(call); (n == "log" || n == "Line") && len(call.Args) == 2 {
				key := prefix + text(call.Args[0])
				if v := s.phrase(f.dir, call.Args[1]); strings.HasPrefix(key, "halog.") && !slices.Contains(texts[key], v) {
					texts[key] = append(texts[key], v)
				}
			}
		}
	}
	tb := table{head: []string{"code", "text"}}
	list := s.constants(t, "supervisor/halog", "")
	slices.SortFunc(list, func(a, b constant) int { return cmp.Compare(a.value, b.value) })
	for _, c := range list {
		if strings.HasPrefix(c.value, "SHA") {
			tb.add(code(c.value), codes(texts["halog."+c.name]))
		}
	}
	return tb.String()
}

func refusalTable(t *testing.T, s *source) string {
	tb := table{head: []string{"text of the error"}}
	for _, v := range s.returned(t, "failover/report", "Reason.String") {
		tb.add(v)
	}
	return tb.String()
}

func faultTable(t *testing.T, s *source) string {
	status := map[string][]string{}
	for _, f := range s.faults() {
		if !slices.Contains(status[f.kind], f.status) {
			status[f.kind] = append(status[f.kind], f.status)
		}
	}
	tb := table{head: []string{"`error` in Proxy-Status", "status"}}
	for _, kind := range slices.Sorted(maps.Keys(status)) {
		slices.Sort(status[kind])
		tb.add(code(kind), strings.Join(status[kind], ", "))
	}
	if len(tb.rows) == 0 {
		t.Fatal("no faults were found")
	}
	return tb.String()
}

func eventsTable(t *testing.T, s *source) string {
	fields := s.events()
	if len(fields) < 10 {
		t.Fatalf("events found are %v", fields)
	}
	levels := s.levels()
	tb := table{head: []string{"event", "severity", "fields, beside `summary` and `severity`"}}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		delete(fields[name], "summary")
		delete(fields[name], "severity")
		if len(levels[name]) == 0 {
			t.Errorf("no function voice has the event %s", name)
		}
		tb.add(code(name), strings.Join(levels[name], ", "), codes(slices.Sorted(maps.Keys(fields[name]))))
	}
	for name := range levels {
		if fields[name] == nil {
			t.Errorf("the event %s has a voice, and nothing tells of it", name)
		}
	}
	return tb.String()
}

func logTable(t *testing.T, s *source) string {
	lines := s.logLines()
	if len(lines) < 50 {
		t.Fatalf("only %d lines found", len(lines))
	}
	var b strings.Builder
	for _, level := range []string{"Error", "Warn", "Info"} {
		tb := table{head: []string{strings.ToUpper(level), "fields"}}
		for _, l := range lines {
			if l.level == level {
				tb.add(l.message, codes(l.fields))
			}
		}
		fmt.Fprintf(&b, "\n%s\n", tb.String())
	}
	return b.String()
}
