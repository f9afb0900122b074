// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/bench/plot"
	"github.com/caddy-broker/caddy-broker/bench/soak"
)

func main() {
	backend.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // what was deferred is done
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "soak" {
		return soak.Command(ctx, args[1:], out)
	}
	if len(args) > 0 && args[0] == "plot" {
		return plot.Command(args[1:], out)
	}
	opt, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return compare(ctx, opt, out)
}

// options are those of the comparison.
type options struct {
	scenarios []*scenario
	rounds    int
	quick     bool
	verbose   bool
	quiet     time.Duration
	only      string
	out       string
}

func parse(args []string, out io.Writer) (*options, error) {
	opt := new(options)
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.IntVar(&opt.rounds, "rounds", 0, "rounds of each scenario; 0 for five, or ten where time is measured finely")
	flags.BoolVar(&opt.quick, "quick", false, "one round with small numbers, to see whether everything works; no measurement")
	flags.BoolVar(&opt.verbose, "v", false, "show what became of each load, and its first failed requests")
	flags.DurationVar(&opt.quiet, "quiet", 0, "how long to wait, before each round, until other programs are quiet; disturbed rounds are repeated then")
	flags.StringVar(&opt.only, "only", "", "only proxies whose name contains this")
	flags.StringVar(&opt.out, "out", "", "write PREFIX.md and PREFIX.json")
	flags.Usage = func() {
		fmt.Fprintf(out, "go run ./bench [flags] [scenario…]\ngo run ./bench soak [flags]\ngo run ./bench plot PAGE FOLDER\n\nscenarios: %s\n\nflags:\n", strings.Join(names(), ", "))
		flags.PrintDefaults()
	}
	// Flags may stand before, between and after the scenarios.
	var wanted []string
	for rest := args; ; {
		if err := flags.Parse(rest); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		wanted, rest = append(wanted, flags.Arg(0)), flags.Args()[1:]
	}
	for _, name := range wanted {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("no scenario named %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	for _, s := range scenarios {
		if len(wanted) == 0 || slices.Contains(wanted, s.name) {
			opt.scenarios = append(opt.scenarios, s)
		}
	}
	return opt, nil
}

func names() []string {
	var list []string
	for _, s := range scenarios {
		list = append(list, s.name)
	}
	return list
}
