// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		args   string
		want   string // scenarios
		rounds int
		bad    string
	}{
		{args: "", want: strings.Join(names(), " ")},
		{args: "kill --rounds 7 refuse", want: "kill refuse", rounds: 7},
		{args: "--quick refuse", want: "refuse"},
		{args: "nonsense", bad: `no scenario named "nonsense"`},
		{args: "--nonsense", bad: "not defined"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			opt, err := parse(strings.Fields(tt.args), io.Discard)
			if tt.bad != "" {
				if err == nil || !strings.Contains(err.Error(), tt.bad) {
					t.Errorf("error %v, want %s", err, tt.bad)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range opt.scenarios {
				got = append(got, s.name)
			}
			if strings.Join(got, " ") != tt.want || opt.rounds != tt.rounds {
				t.Errorf("%v and %d rounds", got, opt.rounds)
			}
		})
	}
}

func TestRounds(t *testing.T) {
	for _, tt := range []struct {
		own  int
		opt  options
		want int
	}{
		{0, options{}, 5},
		{10, options{}, 10},
		{10, options{quick: true}, 1},
		{10, options{rounds: 3, quick: true}, 3},
	} {
		if got := (&scenario{rounds: tt.own}).count(&tt.opt); got != tt.want {
			t.Errorf("%d rounds with %+v, want %d", got, tt.opt, tt.want)
		}
	}
}

func TestEveryScenarioIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		if s.name == "" || seen[s.name] || s.table.Title == "" || s.table.About == "" || s.table.Figure == "" {
			t.Errorf("scenario %q lacks a text, or its name comes twice", s.name)
		}
		if (s.run == nil) == (s.measure == nil) {
			t.Errorf("scenario %q has not exactly one way to run", s.name)
		}
		seen[s.name] = true
	}
}

func TestBenchmarkLine(t *testing.T) {
	name, values, found := benchmarkLine("BenchmarkSelect/backends=1000/one_down-2   \t 5000000\t       150.5 ns/op\t       7.000 exceptions\t       0 B/op\t       1 allocs/op")
	want := []report.Value{{Column: "time", Unit: report.Nanoseconds, Value: 150.5}, {Column: "allocations", Value: 1}}
	if !found || name != "backends=1000/one_down" || len(values) != 2 || values[0] != want[0] || values[1] != want[1] {
		t.Errorf("%q %v %t", name, values, found)
	}
	for _, line := range []string{"", "ok  \tpkg\t1.2s", "BenchmarkSelect", "pkg: a b c"} {
		if _, _, found := benchmarkLine(line); found {
			t.Errorf("%q is no benchmark", line)
		}
	}
}

func TestFates(t *testing.T) {
	results := harness.Results{
		{Fate: harness.OK},
		{Fate: harness.Refused},
		{Fate: harness.Reset},
		{Fate: harness.EOF},
		{Fate: harness.Status},
		{Fate: harness.Timeout},
		{Fate: harness.Timeout},
	}
	want := map[string]float64{"refused": 1, "reset or cut": 2, "error answer": 1, "timed out": 2}
	for _, v := range fates("", results) {
		if v.Value != want[v.Column] {
			t.Errorf("%s: %v, want %v", v.Column, v.Value, want[v.Column])
		}
	}
}

func TestGapsAtTheFaultAndOtherwise(t *testing.T) {
	begin := time.Now()
	results := make(harness.Results, 0, 6)
	// Broken after 5 s: a gap of 3 s is over then, one of 2 s is under way, one of 4 s
	// begins later than a second after it.
	for _, end := range []int{0, 1, 4, 6, 7, 11} {
		at := begin.Add(time.Duration(end) * time.Second)
		results = append(results, &harness.Result{Due: at, End: at, Fate: harness.OK})
	}
	atFault, otherwise := gaps(results, begin.Add(5*time.Second))
	if atFault != 2*time.Second || otherwise != 4*time.Second {
		t.Errorf("%s at the fault, %s otherwise", atFault, otherwise)
	}
}

func TestFirstAfter(t *testing.T) {
	begin := time.Now()
	result := func(after time.Duration, name string, fate harness.Fate) *harness.Result {
		return &harness.Result{End: begin.Add(after), Fate: fate, Header: http.Header{harness.BackendName: {name}}}
	}
	results := harness.Results{
		result(-time.Second, "home", harness.OK), result(time.Second, "home", harness.Status),
		result(2*time.Second, "other", harness.OK), result(4*time.Second, "home", harness.OK), result(3*time.Second, "home", harness.OK),
	}
	if first, found := firstAfter(results, begin, "home"); !found || first != 3*time.Second {
		t.Errorf("%s, %t", first, found)
	}
	if _, found := firstAfter(results, begin, "nobody"); found {
		t.Error("nobody answered")
	}
}

func TestUsedOf(t *testing.T) {
	const stat = "cpu  100 10 50 9000 5 7 3 20 0 0\ncpu0 50 5 25 4500 2 3 1 10 0 0\ncpu1 50 5 25 4500 3 4 2 10 0 0\nintr 5\n"
	used, processors, err := usedOf(stat)
	if err != nil || processors != 2 || used != 180*tick {
		t.Errorf("%s of %d processors, %v", used, processors, err)
	}
	if _, _, err := usedOf("intr 5\n"); err == nil {
		t.Error("no processor is no error")
	}
}

// What another process does is seen, and what we do is not.
func TestDisturbance(t *testing.T) {
	before, err := readMeter()
	if err != nil {
		t.Fatal(err)
	}
	spin(100 * time.Millisecond)
	own, err := before.disturbance()
	if err != nil {
		t.Fatal(err)
	}
	// Everything that ran on the machine, ourselves included.
	before.ours += 100 * time.Millisecond
	all, err := before.disturbance()
	if err != nil {
		t.Fatal(err)
	}
	if own < 0 || all < own {
		t.Errorf("others used %v, with us %v", own, all)
	}
}

func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
		_ = strings.Repeat("x", 1000)
	}
}
