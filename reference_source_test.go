// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is the code that runs for users, to look things up in.
type source struct{ files []sourceFile }

type sourceFile struct {
	dir  string
	file *ast.File
}

func readSource(t *testing.T) *source {
	t.Helper()
	s := new(source)
	for _, f := range readGoFiles(t) {
		if a := area(f.dir()); f.test() || a != "failover" && a != "supervisor" && a != "module" && a != "caddyfile" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.src, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, sourceFile{f.dir(), parsed})
	}
	slices.SortFunc(s.files, func(a, b sourceFile) int { return cmp.Compare(a.dir, b.dir) })
	return s
}

// function is a function of the code; a name such as Outcome.String is a method.
type function struct {
	dir, name string
	decl      *ast.FuncDecl
}

func (s *source) functions() (all []function) {
	for _, f := range s.files {
		for _, d := range f.file.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok || decl.Body == nil {
				continue
			}
			name := decl.Name.Name
			if decl.Recv != nil {
				name = strings.TrimPrefix(text(decl.Recv.List[0].Type), "*") + "." + name
			}
			all = append(all, function{f.dir, name, decl})
		}
	}
	return all
}

// function is the one of that name.
func (s *source) function(t *testing.T, dir, name string) *ast.FuncDecl {
	t.Helper()
	for _, f := range s.functions() {
		if f.dir == dir && f.name == name {
			return f.decl
		}
	}
	t.Fatalf("%s has no function %s: the reference is made from it", dir, name)
	return nil
}

// returned are the texts that a function returns.
func (s *source) returned(t *testing.T, dir, name string) (list []string) {
	t.Helper()
	ast.Inspect(s.function(t, dir, name), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			for _, e := range n.Results {
				if v, ok := s.literal(dir, e); ok {
					list = append(list, v)
				}
			}
		case *ast.CompositeLit: // an array that is indexed
			for _, e := range n.Elts {
				if v, ok := s.literal(dir, e); ok {
					list = append(list, v)
				}
			}
		}
		return true
	})
	if len(list) == 0 {
		t.Fatalf("%s: %s returns no text: the reference is made from it", dir, name)
	}
	return list
}

// constant is a constant text, with the comment at its end.
type constant struct{ name, value, comment string }

// constants are those of a package whose names begin with prefix.
func (s *source) constants(t *testing.T, dir, prefix string) (list []constant) {
	t.Helper()
	for _, f := range s.files {
		for _, d := range f.file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if f.dir != dir || !ok || decl.Tok != token.CONST {
				continue
			}
			for _, spec := range decl.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if i >= len(v.Values) || !strings.HasPrefix(name.Name, prefix) {
						continue
					}
					if value, ok := s.literal(dir, v.Values[i]); ok {
						list = append(list, constant{name.Name, value, strings.TrimSpace(v.Comment.Text())})
					}
				}
			}
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no constants %s…: the reference is made from them", dir, prefix)
	}
	return list
}

// numbers are the constants of a package that are numbers, and whose names begin with prefix.
func (s *source) numbers(dir, prefix string) (list []constant) {
	for _, f := range s.files {
		for _, d := range f.file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if f.dir != dir || !ok || decl.Tok != token.CONST {
				continue
			}
			for _, spec := range decl.Specs {
				v := spec.(*ast.ValueSpec)
				if n, ok := lone(v.Values).(*ast.BasicLit); ok && n.Kind == token.INT && strings.HasPrefix(v.Names[0].Name, prefix) {
					list = append(list, constant{v.Names[0].Name, n.Value, ""})
				}
			}
		}
	}
	return list
}

// lone is the one expression of a list, nil if there are more.
func lone(list []ast.Expr) ast.Expr {
	if len(list) != 1 {
		return nil
	}
	return list[0]
}

// literal is an expression that is a text: one, a sum of them, or the name of a constant.
func (s *source) literal(dir string, e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		v, err := strconv.Unquote(e.Value)
		return v, err == nil
	case *ast.BinaryExpr:
		x, ok := s.literal(dir, e.X)
		y, ok2 := s.literal(dir, e.Y)
		return x + y, ok && ok2 && e.Op == token.ADD
	case *ast.Ident:
		for _, f := range s.files {
			if f.dir != dir {
				continue
			}
			if o := f.file.Scope.Lookup(e.Name); o != nil { //nolint:staticcheck // of one file is enough to see constants
				if v, ok := o.Decl.(*ast.ValueSpec); ok && o.Kind == ast.Con && len(v.Values) == len(v.Names) {
					return s.literal(dir, v.Values[slices.IndexFunc(v.Names, func(n *ast.Ident) bool { return n.Name == e.Name })])
				}
			}
		}
	}
	return "", false
}

// phrase is a text of which some parts are known only when it is made: they are "…".
func (s *source) phrase(dir string, e ast.Expr) string {
	if v, ok := s.literal(dir, e); ok {
		return v
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return s.phrase(dir, e.X) + s.phrase(dir, e.Y)
	case *ast.CallExpr:
		if name(e.Fun) == "Sprintf" || name(e.Fun) == "Errorf" {
			format, _ := s.literal(dir, e.Args[0])
			for _, verb := range []string{"%d", "%s", "%v", "%w", "%q"} {
				format = strings.ReplaceAll(format, verb, "…")
			}
			return format
		}
	}
	return "…"
}

// name is the last part of what is called.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// text is a type or a name as it is written.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return text(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return "*" + text(e.X)
	case *ast.ArrayType:
		return "[]" + text(e.Elt)
	case *ast.MapType:
		return "map[" + text(e.Key) + "]" + text(e.Value)
	case *ast.IndexExpr:
		return text(e.X)
	}
	return "any"
}

// structure finds a struct type by the folder of its package and its name.
func (s *source) structure(t *testing.T, dir, name string) *ast.StructType {
	t.Helper()
	for _, f := range s.files {
		if f.dir != dir {
			continue
		}
		for _, d := range f.file.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range decl.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.Name == name {
					if st, ok := ts.Type.(*ast.StructType); ok {
						return st
					}
				}
			}
		}
	}
	t.Fatalf("%s has no struct %s: the reference is made from it", dir, path.Base(dir)+"."+name)
	return nil
}
