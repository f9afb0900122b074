// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Command mutate changes one small thing of the code at a time and lists the
// changes that no test notices.
//
//	go run -C tools ./mutate -n 100 failover supervisor module/proxy:transport
//
// An argument is a package folder, with :PREFIX only its files whose names begin
// so. The tests of the folder itself decide, and those that -with names. Each
// mutant is compiled through an overlay: no file of the tree is touched. A
// survivor is a question, not a verdict: some mutants change nothing that anybody
// could see.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

var (
	number  = flag.Int("n", 100, "how many mutants, spread over all files by their size")
	seed    = flag.Uint64("seed", 1, "which ones")
	limit   = flag.Duration("limit", 2*time.Minute, "the time for the tests of one mutant; a mutant that hangs is noticed")
	root    = flag.String("root", "..", "the folder of the module that is mutated")
	with    = flag.String("with", "", "further packages whose tests decide, with commas between them")
	running = flag.String("run", "", "as for go test")
)

// mutant is one small change.
type mutant struct {
	dir, file string
	line      int
	what      string
	source    []byte
}

func main() {
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(areas []string) error {
	if len(areas) == 0 {
		return errors.New("naming what to mutate: give at least one package folder")
	}
	var all []mutant
	for _, area := range areas {
		found, err := mutants(area)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	pick := rand.New(rand.NewPCG(*seed, 0))
	pick.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	chosen := all[:min(*number, len(all))]
	noticed, broken, survived := 0, 0, 0
	for _, m := range chosen {
		switch verdict, err := m.test(); {
		case err != nil:
			return err
		case verdict == "survived":
			survived++
			fmt.Printf("%s/%s:%d: %s\n", m.dir, m.file, m.line, m.what)
		case verdict == "broken":
			broken++
		default:
			noticed++
		}
	}
	fmt.Printf("%d mutants of %d possible, seed %d: %d noticed, %d survived, %d not compiled\n",
		len(chosen), len(all), *seed, noticed, survived, broken)
	return nil
}

// mutants lists every mutant of an area.
func mutants(area string) (all []mutant, err error) {
	dir, prefix, _ := strings.Cut(area, ":")
	files, err := filepath.Glob(filepath.Join(*root, dir, prefix+"*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("looking for files of %s: there are none: %w", area, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || !builds(name) {
			continue
		}
		found, err := mutate(dir, name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// builds reports whether a file's name has no other system's suffix.
func builds(name string) bool {
	for _, suffix := range []string{"_other.go", "_windows.go", "_darwin.go"} {
		if strings.HasSuffix(name, suffix) {
			return false
		}
	}
	return true
}

// opposites are the operators that stand for each other.
var opposites = map[token.Token]token.Token{
	token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
}

// mutate makes the mutants of one file.
func mutate(dir, name string) (all []mutant, err error) {
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	// keep prints the file as it is at this moment.
	keep := func(at token.Pos, what string) {
		var out bytes.Buffer
		if format.Node(&out, fset, file) == nil {
			all = append(all, mutant{dir, filepath.Base(name), fset.Position(at).Line, what, out.Bytes()})
		}
	}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			change(n, keep)
			return true
		})
	}
	return all, nil
}

// change makes every small change of one node in turn, and takes it back.
func change(n ast.Node, keep func(at token.Pos, what string)) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		other, ok := opposites[n.Op]
		if !ok || isText(n.X) || isText(n.Y) {
			return
		}
		was := n.Op
		n.Op = other
		keep(n.OpPos, fmt.Sprintf("%s becomes %s", was, other))
		n.Op = was
	case *ast.IfStmt:
		was := n.Cond
		n.Cond = &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: was}}
		keep(n.Pos(), "the condition is turned round")
		n.Cond = was
	case *ast.BasicLit:
		v, err := strconv.Atoi(n.Value)
		if n.Kind != token.INT || err != nil {
			return
		}
		was := n.Value
		n.Value = strconv.Itoa(v + 1)
		keep(n.Pos(), fmt.Sprintf("%s becomes %s", was, n.Value))
		n.Value = was
	case *ast.Ident:
		if n.Name != "true" && n.Name != "false" {
			return
		}
		was := n.Name
		n.Name = strconv.FormatBool(was == "false")
		keep(n.Pos(), was+" becomes "+n.Name)
		n.Name = was
	case *ast.BlockStmt:
		for i, s := range n.List {
			drop(n.List, i, s, keep)
		}
	case *ast.CaseClause:
		for i, s := range n.Body {
			drop(n.Body, i, s, keep)
		}
	}
}

// drop leaves out a statement that stands for itself.
func drop(list []ast.Stmt, i int, s ast.Stmt, keep func(at token.Pos, what string)) {
	switch s := s.(type) {
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt:
	case *ast.AssignStmt:
		if s.Tok == token.DEFINE {
			return
		}
	default:
		return
	}
	list[i] = &ast.EmptyStmt{Semicolon: s.Pos(), Implicit: false}
	keep(s.Pos(), "the statement is left out")
	list[i] = s
}

// isText reports whether an expression is plainly a string, which cannot be
// subtracted.
func isText(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}

// test says whether the tests notice the mutant.
func (m mutant) test() (verdict string, err error) {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	original, err := filepath.Abs(filepath.Join(*root, m.dir, m.file))
	if err != nil {
		return "", err
	}
	changed := filepath.Join(work, m.file)
	overlay := filepath.Join(work, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(changed, m.source, 0o600), os.WriteFile(overlay, text, 0o600)); err != nil {
		return "", err
	}
	packages := []string{"./" + m.dir}
	if *with != "" {
		for p := range strings.SplitSeq(*with, ",") {
			packages = append(packages, "./"+p)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()
	args := append([]string{"test", "-short", "-vet=off", "-failfast", "-overlay", overlay, "-run", *running}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = *root
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return "survived", nil
	case bytes.Contains(out, []byte("[build failed]")):
		return "broken", nil
	default:
		return "noticed", nil
	}
}
