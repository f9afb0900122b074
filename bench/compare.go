// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/bench/report"
)

// scenario is one fault, or one measurement, that all subjects go through.
type scenario struct {
	name  string
	table report.Table // its texts
	// rounds is how many there are unless the user says otherwise; 0 is five.
	rounds int
	// aside lets the subjects go through it at the same time. Only for scenarios
	// that wait long and do little, or take turns.
	aside bool
	// subjects are who takes part; nil is everybody but the policy alone.
	subjects func(*peers.Set) []peers.Subject
	// run goes through it once.
	run func(context.Context, *lab) ([]report.Value, error)
	// after adds what follows from all rounds; may be nil.
	after func(*report.Table, *peers.Set)
	// measure, instead of run, makes rows of its own.
	measure func(ctx context.Context, quick bool, rounds int, t *report.Table) error
}

func everybody(set *peers.Set) []peers.Subject {
	return append([]peers.Subject{set.Broker, set.Standby, set.Stock}, set.Others...)
}

func (s *scenario) count(opt *options) int {
	switch {
	case opt.rounds > 0:
		return opt.rounds
	case opt.quick:
		return 1
	case s.rounds > 0:
		return s.rounds
	}
	return 5
}

// compare goes through all scenarios and prints and writes their tables.
func compare(ctx context.Context, opt *options, out io.Writer) error {
	// The kernel tells paths without symbolic links, and sockets need short ones.
	dir, err := os.MkdirTemp("", "bench")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(out, "building both Caddys")
	set, err := peers.Prepare(ctx, dir)
	if err != nil {
		return err
	}
	head := heading(set, opt)
	fmt.Fprintln(out, head)
	var tables []*report.Table
	for _, s := range opt.scenarios {
		table, err := s.all(ctx, opt, set, dir, out)
		if err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
		fmt.Fprintln(out, "\n"+table.Markdown())
		tables = append(tables, table)
		// What was measured so far is kept if a later scenario fails.
		if err := write(opt.out, head, tables); err != nil {
			return err
		}
	}
	return nil
}

func heading(set *peers.Set, opt *options) string {
	head := fmt.Sprintf("Measured on %s, %d processors, Linux %s, %s.",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), kernel(), runtime.Version())
	if len(set.Absent) > 0 {
		head += " Absent: " + strings.Join(set.Absent, ", ") + " (bench/install.sh installs them)."
	}
	if opt.quick {
		head += " A quick run, no measurement."
	}
	return head
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "(unknown)"
	}
	return strings.TrimSpace(string(text))
}

// once goes through a scenario with one subject.
func (s *scenario) once(ctx context.Context, opt *options, dir string, out io.Writer, subject peers.Subject, turn *sync.Mutex) ([]report.Value, error) {
	l := &lab{subject: subject, quick: opt.quick, dir: dir, scenario: s.name, verbose: io.Discard, turn: turn}
	if opt.verbose {
		l.verbose = out
	}
	values, err := s.run(ctx, l)
	return values, errors.Join(err, l.close())
}

// all goes through a scenario for all rounds. A round that fails is told and
// leaves a gap in the table; an interrupt ends everything.
func (s *scenario) all(ctx context.Context, opt *options, set *peers.Set, dir string, out io.Writer) (*report.Table, error) {
	table, rounds := s.table, s.count(opt)
	if s.measure != nil {
		if err := awaitQuiet(ctx, opt.quiet); err != nil {
			return nil, err
		}
		var failed error
		share, err := undisturbed(ctx, 0, func() { failed = s.measure(ctx, opt.quick, rounds, &table) })
		if share > disturbing {
			table.Note("Disturbed: other programs used %.0f %% of the processors.", 100*share)
		}
		return &table, errors.Join(failed, err)
	}
	choose := s.subjects
	if choose == nil {
		choose = everybody
	}
	var subjects []peers.Subject
	for _, subject := range choose(set) {
		if strings.Contains(subject.Name, opt.only) {
			subjects = append(subjects, subject)
			table.Row(subject.Name, subject.Peer)
		}
	}
	noisy, most := 0, 0.0 // runs that others disturbed, and how much
	for round := range rounds {
		values, errs := make([][]report.Value, len(subjects)), make([]error, len(subjects))
		disturbed := make([]float64, len(subjects))
		turn := new(sync.Mutex)
		if s.aside {
			share, err := undisturbed(ctx, opt.quiet, func() {
				var wg sync.WaitGroup
				for i, subject := range subjects {
					wg.Go(func() { values[i], errs[i] = s.once(ctx, opt, dir, out, subject, turn) })
				}
				wg.Wait()
			})
			if err != nil {
				return nil, err
			}
			for i := range disturbed {
				disturbed[i] = share
			}
		} else {
			for place := range subjects {
				i := (place + round) % len(subjects) // nobody is always the first, or after the same one
				subject := subjects[i]
				share, err := undisturbed(ctx, opt.quiet, func() { values[i], errs[i] = s.once(ctx, opt, dir, out, subject, turn) })
				if err != nil {
					return nil, err
				}
				disturbed[i] = share
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for i, subject := range subjects {
			if errs[i] != nil {
				fmt.Fprintf(out, "%s, round %d, %s failed: %v\n", s.name, round+1, subject.Name, errs[i])
				table.Note("%s failed in round %d, which the medians leave out: %s",
					subject.Name, round+1, strings.Join(strings.Fields(errs[i].Error()), " "))
				values[i] = nil
			}
			fmt.Fprintf(out, "%s, round %d of %d, %s: %v, others used %.0f %% of the processors\n",
				s.name, round+1, rounds, subject.Name, values[i], 100*disturbed[i])
			table.Add(subject.Name, subject.Peer, values[i])
			if disturbed[i] > disturbing {
				noisy++
				most = max(most, disturbed[i])
			}
		}
	}
	if noisy > 0 {
		table.Note("Other programs used more than %.0f %% of the processors in %d of %d runs, at most %.0f %%.",
			100*disturbing, noisy, rounds*len(subjects), 100*most)
	}
	if s.after != nil {
		s.after(&table, set)
	}
	return &table, nil
}

func write(prefix, head string, tables []*report.Table) error {
	if prefix == "" {
		return nil
	}
	var text strings.Builder
	text.WriteString(head + "\n")
	for _, t := range tables {
		text.WriteString("\n" + t.Markdown())
	}
	data, err := json.MarshalIndent(map[string]any{"measured": head, "tables": tables}, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(prefix+".md", []byte(text.String()), 0o644), //nolint:gosec // for others to read
		os.WriteFile(prefix+".json", append(data, '\n'), 0o644))  //nolint:gosec // for others to read
}
