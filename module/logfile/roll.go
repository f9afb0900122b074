// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// cleaningPause is how long a process goes on writing before it looks again whether
// another one has compressed what was rolled before.
const cleaningPause = 20 * time.Millisecond

// A rolls knows when a file is rolled, and does it: names, compression and how many old
// files are kept are the library's that Caddy uses.
type rolls struct {
	limit    int64
	interval time.Duration
	marks    []mark // of the day
	local    *time.Location

	theirs *timberjack.Logger // as Caddy configured it; never written to

	mu       lockorder.Mutex[rolls]
	cleaning bool       // this process compresses what was rolled
	again    bool       // it has rolled since
	guards   []*os.File // locked while it does, so that no other process does
	done     sync.WaitGroup
}

// A mark is a time of the day at which a file is rolled.
type mark struct{ hour, minute int }

// newRolls takes over what Caddy has configured.
func newRolls(l *timberjack.Logger) *rolls {
	r := &rolls{limit: int64(l.MaxSize) << 20, interval: l.RotationInterval, local: time.UTC, theirs: l}
	if l.LocalTime {
		r.local = time.Local
	}
	for _, m := range l.RotateAtMinutes {
		for h := range 24 {
			r.add(mark{h, m})
		}
	}
	for _, text := range l.RotateAt {
		var m mark
		if n, err := fmt.Sscanf(text, "%d:%d", &m.hour, &m.minute); n == 2 && err == nil {
			r.add(m)
		}
	}
	return r
}

// logger names files as Caddy configured it. It can be used once.
func (r *rolls) logger() *timberjack.Logger {
	return &timberjack.Logger{
		Filename: r.theirs.Filename, LocalTime: r.theirs.LocalTime, BackupTimeFormat: r.theirs.BackupTimeFormat, FileMode: r.theirs.FileMode,
	}
}

// rename moves the file away and begins a new one; nothing is compressed or removed.
func (r *rolls) rename(reason string) error {
	l := r.logger()
	l.Compression = "none"
	return errors.Join(l.RotateWithReason(reason), l.Close())
}

// mayRoll reports whether no other process compresses what was rolled before.
func (r *rolls) mayRoll(file *os.File) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cleaning || !errors.Is(lockExclusive(file), errLocked)
}

// clean compresses what was rolled and removes what is too old or too much, in the
// background. Until then the lock on the new file keeps other processes from it.
func (r *rolls) clean() {
	guard, err := os.Open(r.theirs.Filename)
	if err != nil {
		return
	}
	if errors.Is(lockExclusive(guard), errLocked) {
		_ = guard.Close()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.guards, r.again = append(r.guards, guard), true
	if r.cleaning {
		return
	}
	r.cleaning = true
	r.done.Go(func() {
		for r.more() {
			if err := r.cleanOnce(); err != nil {
				complain(r.theirs.Filename, err)
			}
		}
	})
}

// more reports whether there is something to clean up; if not, other processes may.
func (r *rolls) more() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.again {
		r.again = false
		return true
	}
	r.cleaning = false
	for _, guard := range r.guards {
		_ = guard.Close()
	}
	r.guards = nil
	return false
}

func (r *rolls) cleanOnce() error {
	l := r.logger()
	l.Compression, l.MaxAge, l.MaxBackups = r.theirs.Compression, r.theirs.MaxAge, r.theirs.MaxBackups
	l.MaxSize = 1 << 30 // It opens the file and never rolls it.
	// Opening the file cleans up, closing waits for that.
	_, err := l.Write(nil)
	return errors.Join(err, l.Close())
}

// add takes a mark of a day; others are ignored, as in Caddy.
func (r *rolls) add(m mark) {
	if m.hour >= 0 && m.hour < 24 && m.minute >= 0 && m.minute < 60 {
		r.marks = append(r.marks, m)
	}
}

// due is the reason why a file that was begun at some time and has a size is rolled
// before n more bytes are written to it at now, or empty.
func (r *rolls) due(size int64, n int, begun, now time.Time) string {
	switch {
	case r == nil:
		return ""
	case r.interval > 0 && now.Sub(begun) >= r.interval:
		return "time"
	case len(r.marks) > 0 && !r.next(begun).After(now):
		return "time"
	case size > 0 && size+int64(n) > r.limit:
		return "size"
	default:
		return ""
	}
}

// next is the first mark after t.
func (r *rolls) next(t time.Time) time.Time {
	t = t.In(r.local)
	var first time.Time
	for day := range 2 {
		for _, m := range r.marks {
			at := time.Date(t.Year(), t.Month(), t.Day()+day, m.hour, m.minute, 0, 0, r.local)
			if at.After(t) && (first.IsZero() || at.Before(first)) {
				first = at
			}
		}
	}
	return first
}

// wait waits until what was rolled is compressed.
func (r *rolls) wait() {
	if r != nil {
		r.done.Wait()
	}
}

// arm lets the file be rolled at the next mark, though no line may come then.
func (w *Writer) arm() {
	if w.rolls == nil || len(w.rolls.marks) == 0 {
		return
	}
	now := time.Now()
	w.mark = time.AfterFunc(w.rolls.next(now).Sub(now), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.done {
			return
		}
		w.release()
		w.follow()
		if reason := w.rolls.due(0, 0, w.begun, time.Now()); reason != "" {
			w.roll(reason)
		}
		w.arm()
	})
}

// roll moves the file away if it is still the one that was looked at. While it is too
// large, each process asks for the exclusive lock before its next line, so one of them
// gets it. What was rolled is compressed in the background; while another process does
// that for the roll before, the file grows on.
func (w *Writer) roll(reason string) {
	if time.Now().Before(w.busy) || !w.lock(lockExclusive) {
		return
	}
	defer w.unlock()
	if info, err := os.Stat(w.path); err != nil || !os.SameFile(info, w.info) {
		return
	}
	if !w.rolls.mayRoll(w.file) {
		w.busy = time.Now().Add(cleaningPause)
		return
	}
	if err := w.rolls.rename(reason); err != nil {
		complain(w.path, err)
		w.busy = time.Now().Add(time.Second)
		unlock(w.file)
		return
	}
	// The lock on the old file ends when it is closed.
	if err := w.reopen(); err != nil {
		complain(w.path, err)
		return
	}
	w.begun = time.Now()
	w.rolls.clean()
}

// complain says on the error output, where Caddy's own writer does, what a log cannot.
func complain(path string, err error) {
	fmt.Fprintf(os.Stderr, "rolling the log file %s: %v\n", path, err)
}
