// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"cmp"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// events are the events with their fields, wherever they are told of.
func (s *source) events() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	add := func(name string, fields map[string]bool, more ...string) {
		if all[name] == nil {
			all[name] = map[string]bool{}
		}
		maps.Copy(all[name], fields)
		for _, f := range more {
			all[name][f] = true
		}
	}
	for _, f := range s.functions() {
		for _, call := range callsIn(f.decl) {
			var implied []string
			switch nameOf(call) {
			case "event":
				implied = []string{"child", "pid"}
			case "emit":
				implied = []string{"pool"}
			case "tell", "Tell":
			default:
				continue
			}
			for _, event := range s.texts(f, first(call)) {
				if strings.HasPrefix(event, "broker_") || strings.HasPrefix(event, "failover_") {
					add(event, s.keys(f, call.Args[len(call.Args)-1]), append(implied, "severity", "summary")...)
				}
			}
		}
		ast.Inspect(f.decl, func(n ast.Node) bool {
			c, ok := n.(*ast.CompositeLit)
			if !ok || c.Type == nil || !strings.HasSuffix(text(c.Type), "Event") {
				return true
			}
			var event string
			fields := map[string]bool{}
			for _, e := range c.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && text(kv.Key) == "Name" {
					event, _ = s.literal(f.dir, kv.Value)
				} else if ok && text(kv.Key) == "Data" {
					fields = s.keys(f, kv.Value)
				}
			}
			if event != "" {
				add(event, fields, "severity", "summary")
			}
			return true
		})
	}
	return all
}

func first(call *ast.CallExpr) ast.Expr {
	if len(call.Args) == 0 {
		return nil
	}
	return call.Args[0]
}

// texts are what an expression may be: a text, or the texts that f gives a variable.
func (s *source) texts(f function, e ast.Expr) (list []string) {
	if v, ok := s.literal(f.dir, e); ok {
		return []string{v}
	}
	variable, ok := e.(*ast.Ident)
	if !ok {
		return nil
	}
	ast.Inspect(f.decl, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && len(a.Lhs) == 1 && name(a.Lhs[0]) == variable.Name {
			if v, ok := s.literal(f.dir, a.Rhs[0]); ok {
				list = append(list, v)
			}
		}
		return true
	})
	return list
}

// keys are those of a map: a literal, a variable that f fills, or what a method returns.
func (s *source) keys(f function, e ast.Expr) map[string]bool {
	keys := map[string]bool{}
	literal := func(e ast.Expr) {
		if c, ok := e.(*ast.CompositeLit); ok {
			for _, e := range c.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if k, ok := s.literal(f.dir, kv.Key); ok {
						keys[k] = true
					}
				}
			}
		}
	}
	literal(e)
	if call, ok := e.(*ast.CallExpr); ok {
		for _, g := range s.functions() {
			if strings.HasSuffix(g.name, "."+nameOf(call)) {
				ast.Inspect(g.decl, func(n ast.Node) bool {
					if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
						literal(r.Results[0])
					}
					return true
				})
			}
		}
	}
	variable, ok := e.(*ast.Ident)
	if !ok || variable.Name == "nil" {
		return keys
	}
	ast.Inspect(f.decl, func(n ast.Node) bool {
		if r, ok := n.(*ast.RangeStmt); ok { // over what is added if there is any
			literal(r.X)
		}
		a, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for i, l := range a.Lhs {
			if at, ok := l.(*ast.IndexExpr); ok && text(at.X) == variable.Name {
				if k, ok := s.literal(f.dir, at.Index); ok {
					keys[k] = true
				}
			} else if name(l) == variable.Name && i < len(a.Rhs) {
				literal(a.Rhs[i])
			}
		}
		return true
	})
	return keys
}

// levels are the severities at which an event is told of: those that the function voice of
// its package names for it, or what that calls.
func (s *source) levels() map[string][]string {
	all := map[string][]string{}
	for _, f := range s.functions() {
		if f.name != "voice" {
			continue
		}
		ast.Inspect(f.decl, func(n ast.Node) bool {
			c, ok := n.(*ast.CaseClause)
			if !ok || len(c.List) == 0 {
				return true
			}
			found := map[string]bool{}
			s.namedLevels(f.dir, c, found, 0)
			for _, e := range c.List {
				event, _ := s.literal(f.dir, e)
				for _, level := range []string{"Error", "Warn", "Info", "Debug"} {
					if found[level] && !slices.Contains(all[event], strings.ToUpper(level)) {
						all[event] = append(all[event], strings.ToUpper(level))
					}
				}
			}
			return false
		})
	}
	return all
}

func (s *source) namedLevels(dir string, n ast.Node, found map[string]bool, depth int) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if level, ok := strings.CutSuffix(n.Sel.Name, "Level"); ok {
				found[level] = true
			} else if level, ok := strings.CutPrefix(n.Sel.Name, "Level"); ok {
				found[level] = true
			}
		case *ast.CallExpr:
			for _, g := range s.functions() {
				if depth < 2 && g.dir == dir && g.name == nameOf(n) {
					s.namedLevels(dir, g.decl, found, depth+1)
				}
			}
		}
		return true
	})
}

// logLine is a message of the log.
type logLine struct {
	level, message string
	fields         []string
}

// logLines are the messages at level info and above, each once, in order.
func (s *source) logLines() (list []logLine) {
	for _, f := range s.functions() {
		for _, call := range callsIn(f.decl) {
			level, args := nameOf(call), call.Args
			switch level {
			case "Info", "Warn", "Error":
			case "log", "Log", "Check", "logf":
				if len(args) < 2 {
					continue
				}
				i := slices.IndexFunc(args, func(e ast.Expr) bool { return strings.Contains(name(e), "Level") })
				if i < 0 || i+1 >= len(args) {
					continue
				}
				level = strings.TrimPrefix(strings.TrimSuffix(name(args[i]), "Level"), "Level")
				args = args[i+1:]
			default:
				continue
			}
			if len(args) == 0 {
				continue
			}
			message := s.phrase(f.dir, args[0])
			if message == "…" || strings.HasSuffix(level, "Debug") {
				continue
			}
			l := logLine{level: level, message: message}
			for _, a := range args[1:] {
				if field, ok := a.(*ast.CallExpr); ok {
					if nameOf(field) == "Error" && strings.HasPrefix(text(field.Fun), "zap.") {
						l.fields = append(l.fields, "error")
					} else if k, ok := s.literal(f.dir, first(field)); ok {
						l.fields = append(l.fields, k)
					}
				} else if k, ok := s.literal(f.dir, a); ok { // of slog: name, value
					l.fields = append(l.fields, k)
				}
			}
			if f.dir == "failover" {
				l.fields = append(l.fields, "pool")
			}
			slices.Sort(l.fields)
			list = append(list, l)
		}
	}
	slices.SortStableFunc(list, func(a, b logLine) int { return cmp.Compare(a.message, b.message) })
	return slices.CompactFunc(list, func(a, b logLine) bool { return a.message == b.message && a.level == b.level })
}
