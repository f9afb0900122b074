// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"fmt"
	"time"
)

// MiB is a number of bytes as people read it.
func MiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// Usage is what a process has of the machine's memory, in bytes; 0 is not known.
type Usage struct {
	// Resident is what it has in memory, with what it shares with others, such as the
	// program's file. Peak is the most that this ever was.
	Resident, Peak int64
	// Own is what nobody else has: the machine would get it back at the process's end.
	Own int64
	// Dying says that it is about to be ended: SIGKILL has yet to reach it.
	Dying bool
}

// Limit is how much memory of its own a process may have.
type Limit struct {
	// Bytes is the limit; 0 is none.
	Bytes int64
	// Interval is the least time from one replacement to the next.
	Interval time.Duration
}

const (
	// patience is how many samples in a row have to be above a limit.
	patience = 3
	// Recycles is how many replacements in a row do not help before that is told.
	Recycles = 3
	// slow is how many intervals a process lives at least whose growth is so slow that
	// replacing it helps.
	slow = 10
)

// Watch follows the memory of the process that serves, and those that take its place
// because it had too much. The zero value has seen nothing.
type Watch struct {
	process int       // whose samples count
	above   int       // of them in a row
	last    time.Time // when the last replacement was begun; zero is never
	row     int       // replacements in a row that followed one another soon
	told    bool      // that they do not help
}

// Verdict is that a process has too much.
type Verdict struct {
	// Own is what it has.
	Own int64
	// Row counts the replacements in a row that came soon after one another, this one
	// included.
	Row int
	// Helpless says, once in a row, that the memory still grows after [Recycles] of them.
	Helpless bool
}

// Sample takes what a process has, once a second, and returns what that leads to, nil for
// nothing. The caller replaces the process then.
func (w *Watch) Sample(now time.Time, process int, own int64, limit Limit) *Verdict {
	if process != w.process {
		w.process, w.above = process, 0
	}
	if limit.Bytes == 0 || own <= limit.Bytes {
		w.above = 0
		return nil
	}
	w.above++
	if w.above < patience || !w.last.IsZero() && now.Sub(w.last) < limit.Interval {
		return nil
	}
	if !w.last.IsZero() && now.Sub(w.last) > slow*limit.Interval {
		w.row, w.told = 0, false
	}
	w.last, w.above = now, 0
	w.row++
	v := &Verdict{Own: own, Row: w.row, Helpless: w.row > Recycles && !w.told}
	w.told = w.told || v.Helpless
	return v
}

// Renew forgets what was learnt of a configuration, when another one serves.
func (w *Watch) Renew() { w.row, w.told = 0, false }
