// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func nameOf(call *ast.CallExpr) string { return name(call.Fun) }

// callsIn are the calls below a node, in order.
func callsIn(n ast.Node) (list []*ast.CallExpr) {
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			list = append(list, call)
		}
		return true
	})
	return list
}

// shown are the types of which the admin API's JSON is made.
var shown = []struct{ dir, name, where string }{
	{"module/internal/overview", "Verdict", "`GET /broker/`: whether everything is all right"},
	{"module/internal/overview", "Overview", "`GET /broker/`: what there is"},
	{"module/internal/overview", "Problem", "`problems`"},
	{"module/internal/overview", "Reload", "`reload`"},
	{"module/internal/overview", "InDoubt", "`in_doubt`"},
	{"supervisor", "Status", "a child"},
	{"supervisor", "Waiting", "`waiting` of a child"},
	{"supervisor", "ProcessStatus", "`processes` of a child"},
	{"supervisor/exits", "Exit", "`last_exit` of a child, and `…/last-exit`"},
	{"supervisor/exits", "InFlight", "`in_flight` of an exit"},
	{"supervisor/exits", "Route", "`routes` in `in_flight`"},
	{"failover/report", "PoolStatus", "a pool"},
	{"failover/report", "UpstreamStatus", "`upstreams` of a pool"},
	{"failover/report", "Drained", "`drained` of an upstream"},
	{"module/internal/indoubt", "Record", "an entry of `GET /broker/in-doubt`"},
}

func apiTables(t *testing.T, s *source) string {
	var b strings.Builder
	for _, what := range shown {
		tb := table{head: []string{"member", "type", "means"}}
		for _, f := range s.structure(t, what.dir, what.name).Fields.List {
			if f.Tag == nil {
				continue
			}
			tag, _ := strconv.Unquote(f.Tag.Value)
			key, option, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			if key == "-" || key == "" {
				continue
			}
			if option == "omitempty" {
				option = " May be missing."
			}
			tb.add(code(key), jsonType(text(f.Type)), sentence(prose(f))+option)
		}
		fmt.Fprintf(&b, "\n### %s\n\n%s", what.where, tb.String())
	}
	return b.String() + "\n"
}

// prose is a field's comment without the field's name in front.
func prose(f *ast.Field) string {
	doc := cmp.Or(strings.TrimSpace(f.Doc.Text()), strings.TrimSpace(f.Comment.Text()))
	for _, verb := range []string{" is ", " are ", ": ", " "} {
		if rest, ok := strings.CutPrefix(doc, f.Names[0].Name+verb); ok {
			return rest
		}
	}
	return doc
}

// jsonType is a type of Go's as it is in JSON.
func jsonType(of string) string {
	switch of = strings.TrimPrefix(of, "*"); of {
	case "string":
		return "text"
	case "bool":
		return "true or false"
	case "time.Time":
		return "time"
	case "int", "int64", "uint64", "float64":
		return "number"
	}
	if strings.HasPrefix(of, "[]") {
		return "list of objects"
	}
	return "object"
}

// exitCodes are what the commands and processes of this plugin end with, by the name of
// Caddy's constant.
var exitCodes = map[string]struct {
	value int
	means string
}{
	"ExitCodeSuccess":       {caddy.ExitCodeSuccess, "Done; of a process: it ended as it was asked to."},
	"ExitCodeFailedStartup": {caddy.ExitCodeFailedStartup, "It could not: the error says why. Of a process: its configuration could not be loaded, or something else has its addresses."},
	"ExitCodeForceQuit":     {caddy.ExitCodeForceQuit, "It was ended by force, and cut what was in progress."},
	"ExitCodeFailedQuit":    {caddy.ExitCodeFailedQuit, "It ended, and something could not be ended in order."},
}

// answerCodes are those of the commands that answer a question, by the constant of package
// command.
var answerCodes = map[string]string{
	"exitYes": "Yes: everything is all right; it serves.", "exitNo": "No, and the output says what is wrong.", "exitNoBroker": "No broker answers; of a check, also: an operator has stopped its child.",
}

func exitCodeTable(t *testing.T, s *source) string {
	used := map[string]bool{}
	for _, f := range s.files {
		ast.Inspect(f.file, func(n ast.Node) bool {
			if e, ok := n.(*ast.SelectorExpr); ok && text(e.X) == "caddy" && strings.HasPrefix(e.Sel.Name, "ExitCode") {
				used[e.Sel.Name] = true
			}
			return true
		})
	}
	tb := table{head: []string{"code", "means"}}
	for _, name := range slices.SortedFunc(maps.Keys(used), func(a, b string) int { return cmp.Compare(exitCodes[a].value, exitCodes[b].value) }) {
		c, ok := exitCodes[name]
		if !ok {
			t.Errorf("caddy.%s is not known to exitCodes", name)
		}
		tb.add(strconv.Itoa(c.value), c.means)
	}
	answers := table{head: []string{"`status`, `check`", "means"}}
	for _, c := range s.numbers("module/command", "exit") {
		if answerCodes[c.name] == "" {
			t.Errorf("command.%s is not known to answerCodes", c.name)
		}
		answers.add(c.value, answerCodes[c.name])
	}
	return tb.String() + "\n" + answers.String()
}
