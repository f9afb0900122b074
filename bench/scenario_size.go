// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/client"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
)

var memoryScenario = &scenario{
	name: "memory",
	table: report.Table{
		Title: "Memory",
		About: "After 5 s of GET over 32 connections and a second of rest. Anonymous memory is a process's own; the proportional " +
			"set size counts pages that processes share by their share. The parent is the process that was started, the " +
			"child or worker the one that serves; stock Caddy is one process.",
		Figure: "parent at most 16 MiB anonymous and 40 MiB proportional",
	},
	run: runMemory,
}

func runMemory(ctx context.Context, l *lab) ([]report.Value, error) {
	_, p, err := l.plain(ctx)
	if err != nil {
		return nil, err
	}
	loaded, stop := context.WithTimeout(ctx, pick(l, time.Second, 5*time.Second))
	defer stop()
	if err = (&client.Steady{Addr: p.Addr(), Conns: 32}).Run(loaded); err != nil {
		return nil, err
	}
	if err = pause(ctx, time.Second); err != nil {
		return nil, err
	}
	pids, err := p.Processes(ctx)
	if err != nil {
		return nil, err
	}
	size := func(column string, bytes int64) report.Value {
		return report.Value{Column: column, Unit: report.MiB, Value: float64(bytes) / (1 << 20)}
	}
	var values []report.Value
	var all peers.Memory
	for i, pid := range pids {
		m, err := peers.MemoryOf(pid)
		if err != nil {
			return nil, err
		}
		all.Anonymous += m.Anonymous
		all.Proportional += m.Proportional
		if i < 2 {
			name := []string{"parent", "child"}[i]
			values = append(values, size(name+", anonymous", m.Anonymous), size(name+", proportional", m.Proportional))
		}
	}
	return append(values, size("all, anonymous", all.Anonymous), size("all, proportional", all.Proportional)), nil
}

var selectScenario = &scenario{
	name: "select",
	table: report.Table{
		Title:  "Choosing a backend",
		About:  "`go test -run '^$' -bench BenchmarkSelect -benchmem ./failover`, once per round.",
		Figure: "200 ns and no allocation with 3, 100 and 1,000 backends; 300 ns with one of 1,000 down or 65,536 exceptions",
	},
	measure: measureSelect,
}

func measureSelect(ctx context.Context, quick bool, rounds int, t *report.Table) error {
	args := []string{"test", "-run", "^$", "-bench", "BenchmarkSelect", "-benchmem", "-count", strconv.Itoa(rounds)}
	if quick {
		args = append(args, "-benchtime", "10ms")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/caddy-broker/caddy-broker/failover")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running BenchmarkSelect: %w\n%s", err, out)
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		name, values, found := benchmarkLine(lines.Text())
		if found {
			t.Add(name, false, values)
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("no benchmark ran:\n%s", out)
	}
	return nil
}

// procs is the number of processors at the end of a benchmark's name.
var procs = regexp.MustCompile(`-\d+$`)

// benchmarkLine reads a line of go test -bench -benchmem.
func benchmarkLine(line string) (name string, values []report.Value, found bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return "", nil, false
	}
	_, name, _ = strings.Cut(procs.ReplaceAllString(fields[0], ""), "/")
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return "", nil, false
		}
		switch fields[i+1] {
		case "ns/op":
			values = append(values, report.Value{Column: "time", Unit: report.Nanoseconds, Value: v})
		case "allocs/op":
			values = append(values, report.Value{Column: "allocations", Value: v})
		}
	}
	return name, values, len(values) == 2
}
