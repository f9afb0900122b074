// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// disturbing is the share of all processors that other programs may use while
	// something is measured.
	disturbing = 0.05
	// attempts is how often a disturbed round is gone through at most.
	attempts = 4
	// tick is the unit of /proc/stat.
	tick = 10 * time.Millisecond
)

// meter is what all programs, and what we and the processes that we have started
// and waited for, have used of the processors at a moment.
type meter struct {
	at         time.Time
	all, ours  time.Duration
	processors int
}

func readMeter() (meter, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return meter{}, err
	}
	m := meter{at: time.Now()}
	if m.all, m.processors, err = usedOf(string(text)); err != nil {
		return meter{}, fmt.Errorf("reading /proc/stat: %w", err)
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var r syscall.Rusage
		if err := syscall.Getrusage(who, &r); err != nil {
			return meter{}, err
		}
		m.ours += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	return m, nil
}

// usedOf adds what programs used, in user mode, at low priority and in the
// kernel, and what other machines on the same host took away.
func usedOf(stat string) (used time.Duration, processors int, err error) {
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 8 && fields[0] == "cpu":
			for _, i := range []int{1, 2, 3, 8} {
				n, err := strconv.ParseInt(fields[i], 10, 64)
				if err != nil {
					return 0, 0, err
				}
				used += time.Duration(n) * tick
			}
		case strings.HasPrefix(line, "cpu"):
			processors++
		}
	}
	if processors == 0 {
		return 0, 0, fmt.Errorf("no processor in %q", stat)
	}
	return used, processors, nil
}

// disturbance is the share of the processors that others used since before. All
// processes that were started since then must have been waited for.
func (before meter) disturbance() (float64, error) {
	now, err := readMeter()
	if err != nil {
		return 0, err
	}
	others := (now.all - before.all) - (now.ours - before.ours)
	there := now.at.Sub(before.at) * time.Duration(now.processors)
	return max(0, float64(others)/float64(there)), nil
}

// undisturbed goes through f and tells how much others did meanwhile. With some
// patience it waits for a quiet machine before, and repeats f if it was disturbed.
func undisturbed(ctx context.Context, patience time.Duration, f func()) (share float64, err error) {
	for try := 1; ; try++ {
		if err = awaitQuiet(ctx, patience); err != nil {
			return 0, err
		}
		before, err := readMeter()
		if err != nil {
			return 0, err
		}
		f()
		if share, err = before.disturbance(); err != nil || share <= disturbing || patience == 0 || try == attempts || ctx.Err() != nil {
			return share, err
		}
	}
}

// awaitQuiet returns when others did nothing to speak of for two seconds, or when
// patience is at its end.
func awaitQuiet(ctx context.Context, patience time.Duration) error {
	for begin := time.Now(); time.Since(begin) < patience; {
		before, err := readMeter()
		if err != nil {
			return err
		}
		if err = pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if share, err := before.disturbance(); err != nil || share <= disturbing {
			return err
		}
	}
	return ctx.Err()
}
