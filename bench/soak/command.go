// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// quiet is the time between two faults: longer than any request takes that was
// hit by the last one, so that no request meets more faults than it may.
const quiet = 2 * time.Second

// shown is how many violations are told one by one.
const shown = 20

// Command is `bench soak`. Its error says that something was not as promised.
func Command(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench soak", flag.ContinueOnError)
	flags.SetOutput(out)
	length := flags.Duration("for", 10*time.Minute, "how long faults are made")
	seed := flags.Uint64("seed", rand.Uint64(), "repeats the faults of an earlier run; default is a new one") //nolint:gosec // no secret
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	fmt.Fprintf(out, "soak for %s; to repeat its faults: go run ./bench soak --for %s --seed %d\n", *length, *length, *seed)
	dir, err := os.MkdirTemp("", "soak")
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return err
	}
	keep, err := soak(ctx, dir, *length, *seed, out)
	if keep {
		return fmt.Errorf("%w\nlogs and records are in %s", err, dir)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// soak reports whether its files are worth keeping.
func soak(ctx context.Context, dir string, length time.Duration, seed uint64, out io.Writer) (keep bool, err error) {
	w, err := newWorld(ctx, dir)
	defer func() {
		if end := w.close(); end != nil {
			keep, err = true, errors.Join(err, end)
		}
	}()
	if err != nil {
		return false, err
	}
	bad, err := w.run(ctx, length, seed, out)
	if err != nil {
		return ctx.Err() == nil, err
	}
	for i, line := range bad {
		if i == shown {
			fmt.Fprintf(out, "… and %d more\n", len(bad)-shown)
			break
		}
		fmt.Fprintln(out, line)
	}
	if len(bad) > 0 {
		return true, fmt.Errorf("%d promises were broken, with --seed %d", len(bad), seed)
	}
	fmt.Fprintln(out, "every promise was kept")
	return false, nil
}

// run makes faults under load, and returns what was not as promised.
func (w *world) run(ctx context.Context, length time.Duration, seed uint64, out io.Writer) ([]string, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var runs []*harness.Run
	for _, l := range loads(w.proxy.Addr()) {
		runs = append(runs, l.Start(running))
	}
	defer func() {
		stop()
		for _, r := range runs {
			r.Wait()
		}
	}()
	if err := pause(ctx, quiet); err != nil {
		return nil, err
	}
	parent, active, err := w.sizes(ctx)
	if err != nil {
		return nil, err
	}
	if err = w.torment(ctx, length, seed, out); err != nil {
		return nil, err
	}
	var all harness.Results
	for _, r := range runs {
		all = slices.Concat(all, r.Stop())
	}
	fmt.Fprintln(out, all)
	return w.verdict(ctx, all, parent, active, out)
}

// torment makes one fault after the other.
func (w *world) torment(ctx context.Context, length time.Duration, seed uint64, out io.Writer) error {
	plan := newSchedule(seed, len(faults))
	begin := time.Now()
	for time.Since(begin) < length {
		i, lasts, own := plan.next()
		fmt.Fprintf(out, "%6.1f s  %s\n", time.Since(begin).Seconds(), faults[i].name)
		if err := faults[i].do(ctx, w, rand.New(rand.NewPCG(own, 0)), lasts); err != nil { //nolint:gosec // the seed repeats it
			return fmt.Errorf("%s: %w", faults[i].name, err)
		}
		if err := errors.Join(pause(ctx, quiet), w.collect(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// verdict looks at everything once the load has ended.
func (w *world) verdict(ctx context.Context, results harness.Results, parent, active size, out io.Writer) ([]string, error) {
	if err := w.collect(ctx); err != nil {
		return nil, err
	}
	executions, err := w.executions()
	if err != nil {
		return nil, err
	}
	e := evidence{results: results, strikes: w.strikes, executions: executions, reported: w.reported}
	bad := e.judge()
	if err := w.allUp(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		bad = append(bad, "in the end: "+err.Error())
	}
	parentNow, activeNow, grown, err := w.atRest(ctx, parent, active)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "parent: %s in the beginning, %s in the end\nchild: %s in the beginning, %s in the end\n",
		parent, parentNow, active, activeNow)
	return append(bad, grown...), nil
}
