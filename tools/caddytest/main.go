// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Command caddytest runs Caddy's own integration tests with the plugin and lists
// what they find that they do not find in stock.
//
//	go run -C tools ./caddytest
//
// The tests are those of the version of Caddy in go.mod, from the module cache.
// They run in stock, with the plugin linked in, in a supervised process, with the
// failover policy in every reverse_proxy that names none, and with both. The exit
// code is 1 if there is a difference that the list in this program does not name.
//
// The tests have fixed ports. With unshare and ip, as root, each run has a network
// of its own; otherwise the ports must be free. No run finds a program in its PATH,
// so that none can change the certificates that the machine trusts.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/tools/internal/verdict"
)

var (
	root  = flag.String("root", "..", "the folder of the plugin's module")
	logs  = flag.String("logs", "", "a folder for what the runs print; the default is none")
	keep  = flag.String("copy", "", "a folder that keeps the copy of Caddy, so that the next run builds less; the default is a temporary one")
	only  = flag.String("run", "", "as for go test: which tests")
	again = flag.Int("again", 10, "how often a case that differs is run alone, here and in stock")
	ways  = flag.String("ways", "plain,supervised,policy,supervised+policy", "which ways to serve, with commas between them")
)

// wayEnv is what a run is told of its way; stock knows none of it.
var wayEnv = map[string][]string{
	"plain":             nil,
	"supervised":        {"CADDYTEST_SUPERVISED=1"},
	"policy":            {"CADDYTEST_POLICY=failover"},
	"supervised+policy": {"CADDYTEST_SUPERVISED=1", "CADDYTEST_POLICY=failover"},
}

func main() { verdict.Main(run) }

func run() (faults int, err error) {
	wanted := strings.Split(*ways, ",")
	for _, way := range wanted {
		if _, ok := wayEnv[way]; !ok {
			return 0, fmt.Errorf("reading -ways: %q is none of %s", way, flag.Lookup("ways").DefValue)
		}
	}
	work, err := os.MkdirTemp("", "caddytest")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	s, err := build(work)
	if err != nil {
		return 0, err
	}
	stock, err := s.run("", *only, 1)
	if err != nil {
		return 0, err
	}
	fmt.Printf("stock: %d cases, failed %v\n", len(stock), stock.Failed())
	suite := verdict.Suite{Known: known, Again: s.again}
	var found []verdict.Difference
	for _, way := range wanted {
		here, err := s.run(way, *only, 1)
		if err != nil {
			return 0, err
		}
		fmt.Printf("%s: %d cases, %d failed\n", way, len(here), len(here.Failed()))
		// The cases that only the plugin has are compared with a stock that passes.
		for name := range here {
			if _, ok := stock[name]; !ok && strings.HasPrefix(name, ownTest) {
				stock[name] = verdict.Outcome{Passed: true}
			}
		}
		differences, err := suite.Compare(way, stock, here)
		if err != nil {
			return 0, err
		}
		found = slices.Concat(found, differences)
	}
	return verdict.Print(os.Stdout, found), nil
}
