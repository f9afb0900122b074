// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Command protocols runs two suites of others through the proxy, and lists what
// they find that they do not find with stock Caddy: gRPC's interoperability tests,
// and h2spec, which tests a server of HTTP/2.
//
//	go run -C tools ./protocols
//
// Three Caddys serve the same site with and without TLS: stock of the version in
// go.mod, ours with the failover policy, and that supervised. The exit code is 1
// if there is a difference that the list in this program does not name.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/tools/internal/verdict"
)

var (
	root  = flag.String("root", "..", "the folder of the plugin's module")
	keep  = flag.String("logs", "", "a folder for what the servers log; the default is none")
	again = flag.Int("again", 10, "how often a case that differs is run again, here and in stock")
)

// known are the differences to stock that docs/compatibility.md names.
var known []verdict.Known

// suite is one of the two.
type suite interface {
	// all runs every case against a server.
	all(*server) (verdict.Results, error)
	// one runs one case.
	one(s *server, name string) (verdict.Outcome, error)
}

func main() { verdict.Main(run) }

func run() (faults int, err error) {
	work, err := os.MkdirTemp("", "protocols")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	programs, err := build(work)
	if err != nil {
		return 0, err
	}
	backends, err := startBackends(programs)
	if err != nil {
		return 0, err
	}
	defer backends.stop()
	servers := map[string]*server{}
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.stop())
		}
	}()
	for _, way := range ways {
		s, err := serve(work, way, programs, backends)
		if err != nil {
			return 0, err
		}
		servers[way] = s
	}
	suites := map[string]suite{"grpc": interop{programs}, "h2spec": h2spec{programs, work}}
	var found []verdict.Difference
	for _, name := range slices.Sorted(maps.Keys(suites)) {
		differences, err := compare(name, suites[name], servers)
		if err != nil {
			return 0, err
		}
		found = slices.Concat(found, differences)
	}
	return verdict.Print(os.Stdout, found), nil
}

// compare runs a suite in all ways.
func compare(name string, cases suite, servers map[string]*server) (found []verdict.Difference, err error) {
	stock, err := cases.all(servers[ways[0]])
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s, stock: %d cases, failed %v\n", name, len(stock), stock.Failed())
	compared := verdict.Suite{Known: known, Again: func(way, one string) (failed, runs int, err error) {
		if way == "" {
			way = ways[0]
		}
		for range *again {
			outcome, err := cases.one(servers[way], one)
			if err != nil {
				return 0, 0, err
			}
			runs++
			if !outcome.Passed {
				failed++
			}
		}
		return failed, runs, nil
	}}
	for _, way := range ways[1:] {
		here, err := cases.all(servers[way])
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s, %s: %d cases, %d failed\n", name, way, len(here), len(here.Failed()))
		differences, err := compared.Compare(way, stock, here)
		if err != nil {
			return nil, err
		}
		for _, d := range differences {
			fmt.Printf("%s, %s: %s\n", way, d.Case, strings.TrimSpace(here[d.Case].Text))
		}
		found = slices.Concat(found, differences)
	}
	return found, nil
}
