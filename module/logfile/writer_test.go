// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !solaris && !aix

package logfile

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// opened is one process's writer of the file access.log in a directory: locks are between
// open files, so several in one process are as good as several processes.
func opened(t *testing.T, dir, options string) io.WriteCloser {
	t.Helper()
	m := new(Module)
	text := fmt.Sprintf(`{"filename": %q%s}`, filepath.Join(dir, "access.log"), options)
	if err := json.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	if err := m.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	w, err := m.OpenWriter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// lines counts the lines of the log file and of all that was rolled.
func lines(t *testing.T, dir string) (counts map[string]int, files int) {
	t.Helper()
	counts = make(map[string]int)
	names, err := filepath.Glob(filepath.Join(dir, "access*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		s := bufio.NewScanner(r)
		for s.Scan() {
			text, _, _ := strings.Cut(s.Text(), " ")
			counts[text]++
		}
		if s.Err() != nil {
			t.Fatalf("%s: %v", name, s.Err())
		}
	}
	return counts, len(names)
}

// TestLinesOfSeveralProcessesAreKept: three processes write side by side, the file is
// rolled every mebibyte by whichever comes first, and what was rolled is compressed: each
// line is there once.
func TestLinesOfSeveralProcessesAreKept(t *testing.T) {
	t.Run("compressed", func(t *testing.T) { sideBySide(t, ``) })
	t.Run("uncompressed", func(t *testing.T) {
		// Without compression nothing keeps the file from being rolled at once.
		if files := sideBySide(t, `, "roll_compression": "none"`); files < 7 {
			t.Errorf("%d files: it was hardly rolled", files)
		}
	})
}

// sideBySide lets three processes write 9 MiB, and returns how many files that makes.
func sideBySide(t *testing.T, options string) int {
	dir := t.TempDir()
	const writers, each = 3, 8000
	pad := " " + strings.Repeat("x", 400) + "\n"
	var wg sync.WaitGroup
	for n := range writers {
		w := opened(t, dir, `, "roll_size_mb": 1, "roll_keep": 1000`+options)
		wg.Go(func() {
			for i := range each {
				if _, err := fmt.Fprintf(w, "%d-%d%s", n, i, pad); err != nil {
					t.Error(err)
					return
				}
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	counts, files := lines(t, dir)
	missing, double := 0, 0
	for n := range writers {
		for i := range each {
			switch counts[fmt.Sprintf("%d-%d", n, i)] {
			case 0:
				missing++
			case 1:
			default:
				double++
			}
		}
	}
	if missing+double > 0 || len(counts) != writers*each {
		t.Errorf("of %d lines %d are missing, %d double; %d are there", writers*each, missing, double, len(counts))
	}
	return files
}

// TestAnOutsideRenameIsFollowed: logrotate renames the file, or truncates it.
func TestAnOutsideRenameIsFollowed(t *testing.T) {
	for _, options := range []string{`, "roll": false`, ``} {
		dir := t.TempDir()
		a, b := opened(t, dir, options), opened(t, dir, options)
		path := filepath.Join(dir, "access.log")
		write := func(w io.Writer, line string) {
			t.Helper()
			if _, err := io.WriteString(w, line+"\n"); err != nil {
				t.Fatal(err)
			}
		}
		write(a, "one")
		write(b, "two")
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		rest(a)
		rest(b)
		write(b, "three")
		write(a, "four")
		if text, err := os.ReadFile(path); err != nil || string(text) != "three\nfour\n" {
			t.Errorf("after a rename: %q (%v)", text, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the new file's mode is %v (%v)", info.Mode(), err)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		write(a, "five")
		write(b, "six")
		if text, err := os.ReadFile(path); err != nil || string(text) != "five\nsix\n" {
			t.Errorf("after a truncation: %q (%v)", text, err)
		}
	}
}

// rest is what is done after holdTime.
func rest(w io.Writer) {
	held := w.(*Writer)
	held.mu.Lock()
	defer held.mu.Unlock()
	held.release()
}

// TestAStoppedProcessStopsNoOther: a process that was stopped in the middle of a line
// or of rolling keeps its lock; the others go on.
func TestAStoppedProcessStopsNoOther(t *testing.T) {
	dir := t.TempDir()
	w := opened(t, dir, `, "roll_size_mb": 1`)
	stopped, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	for name, lock := range map[string]func(*os.File) error{"writes": lockShared, "rolls": lockExclusive} {
		rest(w)
		if err := lock(stopped); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, name+"\n"); err != nil {
			t.Error(err)
		}
	}
	if counts, _ := lines(t, dir); counts["writes"] != 1 || counts["rolls"] != 1 {
		t.Errorf("lines that are there: %v", counts)
	}
}

// TestWhenAFileIsRolled steps through what the options mean.
func TestWhenAFileIsRolled(t *testing.T) {
	begun := time.Date(2026, 3, 1, 10, 20, 30, 0, time.UTC)
	for name, c := range map[string]struct {
		rolls *rolls
		size  int64
		after time.Duration
		want  string
	}{
		"never":            {nil, 1 << 40, time.Hour, ""},
		"small":            {&rolls{limit: 100}, 90, time.Hour, ""},
		"full":             {&rolls{limit: 100}, 91, 0, "size"},
		"longer than all":  {&rolls{limit: 5}, 0, 0, ""},
		"before an hour":   {&rolls{limit: 100, interval: time.Hour}, 0, 59 * time.Minute, ""},
		"after an hour":    {&rolls{limit: 100, interval: time.Hour}, 0, time.Hour, "time"},
		"before the mark":  {&rolls{limit: 100, marks: []mark{{10, 20}, {10, 30}}, local: time.UTC}, 0, 9 * time.Minute, ""},
		"after the mark":   {&rolls{limit: 100, marks: []mark{{10, 20}, {10, 30}}, local: time.UTC}, 0, 10 * time.Minute, "time"},
		"before midnight":  {&rolls{limit: 100, marks: []mark{{0, 0}}, local: time.UTC}, 0, 13 * time.Hour, ""},
		"after midnight":   {&rolls{limit: 100, marks: []mark{{0, 0}}, local: time.UTC}, 0, 14 * time.Hour, "time"},
		"mark and is full": {&rolls{limit: 100, marks: []mark{{0, 0}}, local: time.UTC}, 95, 0, "size"},
	} {
		if got := c.rolls.due(c.size, 10, begun, begun.Add(c.after)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestMarksRollOnce: two processes have the same mark; the file is rolled once for it,
// also when no line comes.
func TestMarksRollOnce(t *testing.T) {
	dir := t.TempDir()
	anHourAgo := fmt.Sprintf(`, "roll_at": [%q]`, time.Now().UTC().Add(-time.Hour).Format("15:04"))
	a, b := opened(t, dir, anHourAgo).(*Writer), opened(t, dir, anHourAgo).(*Writer)
	if _, err := io.WriteString(a, "before\n"); err != nil {
		t.Fatal(err)
	}
	for _, w := range []*Writer{a, b} {
		w.mu.Lock()
		w.begun = time.Now().Add(-24 * time.Hour) // so the mark has passed
		w.mu.Unlock()
	}
	for _, w := range []*Writer{a, b} {
		if _, err := io.WriteString(w, "after\n"); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	b.Close()
	counts, files := lines(t, dir)
	if counts["before"] != 1 || counts["after"] != 2 || files != 2 {
		t.Errorf("lines %v in %d files", counts, files)
	}
}

func BenchmarkWrite(b *testing.B) {
	line := []byte(strings.Repeat("x", 500) + "\n")
	for name, open := range map[string]func(Module) (io.WriteCloser, error){
		"stock":  func(m Module) (io.WriteCloser, error) { return m.FileWriter.OpenWriter() },
		"shared": Module.OpenWriter,
	} {
		b.Run(name, func(b *testing.B) {
			var m Module
			m.Filename = filepath.Join(b.TempDir(), "access.log")
			w, err := open(m)
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
