// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package halog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLogLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ha.log")
	if err := os.WriteFile(path, []byte("what was there\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := Open(path, func(err error) { t.Error(err) })
	defer l.Close()
	zone := time.FixedZone("", 2*60*60)
	l.now = func() time.Time { return time.Date(2030, 2, 1, 23, 59, 58, 999, time.UTC).In(zone) }
	l.Line(Command, "[HA] command line for child broker: [caddy broker run --child]")
	l.Line(Command, "[HA] command line for child broker: [sh -c one\ntwo\r\x00three]")

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 5 || lines[0] != "what was there" {
		t.Fatalf("lines %q", lines)
	}
	if !strings.HasSuffix(lines[1], " SHA0502 opening log for Broker HTTP HA") {
		t.Errorf("line %q", lines[1])
	}
	if want := fmt.Sprintf(" SHA0425 watcher process pid=%d", os.Getpid()); !strings.HasSuffix(lines[2], want) {
		t.Errorf("line %q, want %q at its end", lines[2], want)
	}
	if want := "02/02/2030_01:59:58 SHA0158 [HA] command line for child broker: [caddy broker run --child]"; lines[3] != want {
		t.Errorf("line %q, want %q", lines[3], want)
	}
	if want := "02/02/2030_01:59:58 SHA0158 [HA] command line for child broker: [sh -c one two ?three]"; lines[4] != want {
		t.Errorf("line %q, want %q", lines[4], want)
	}
}

// After rotation by rename the next line begins a new file.
func TestLogRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "ha.log")
	l := Open(path, func(err error) { t.Error(err) })
	defer l.Close()
	for i := range 3 {
		l.Line(Running, fmt.Sprint("before ", i))
		if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
			t.Fatal(err)
		}
		l.Line(Running, fmt.Sprint("after ", i))
		for file, want := range map[string]string{fmt.Sprintf("%s.%d", path, i): fmt.Sprint("before ", i), path: fmt.Sprint("after ", i)} {
			text, err := os.ReadFile(file)
			if err != nil || !strings.HasSuffix(string(text), want+"\n") {
				t.Errorf("%s ends with %q (%v), want %q", file, text, err, want)
			}
		}
	}
	// Removed, it comes again.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l.Line(Running, "again")
	if text, _ := os.ReadFile(path); !strings.HasSuffix(string(text), "again\n") {
		t.Errorf("after the removal: %q", text)
	}
}

// A file that cannot be opened costs one warning, and is written when it can be.
func TestLogUnwritable(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there")
	var warnings []error
	l := Open(filepath.Join(dir, "ha.log"), func(err error) { warnings = append(warnings, err) })
	defer l.Close()
	for range 5 {
		l.Line(Running, "ok")
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Error(), dir) {
		t.Errorf("warnings %v, want one that names the file", warnings)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Line(Running, "now")
	if text, err := os.ReadFile(l.Path()); err != nil || !strings.HasSuffix(string(text), "now\n") {
		t.Errorf("%q (%v)", text, err)
	}
}

// A log goes on in another file, which begins as every log does, in none, and in the
// first again.
func TestLogReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	l := Open(first, func(err error) { t.Error(err) })
	defer l.Close()
	for _, path := range []string{second, "", first} {
		l.Reopen(path)
		if got := l.Path(); got != path {
			t.Errorf("path %q, want %q", got, path)
		}
		l.Line(Running, "in "+filepath.Base(path))
	}
	for file, want := range map[string]string{
		first:  "SHA0502 SHA0425 SHA0502 SHA0425 SHA0899",
		second: "SHA0502 SHA0425 SHA0899",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var codes []string
		for line := range strings.Lines(string(text)) {
			codes = append(codes, strings.Fields(line)[1])
		}
		if got := strings.Join(codes, " "); got != want || !strings.HasSuffix(string(text), "in "+filepath.Base(file)+"\n") {
			t.Errorf("%s has %s and ends with %q", file, got, text)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("files %v (%v)", entries, err)
	}
}

func TestLogOff(t *testing.T) {
	t.Parallel()
	var none *Log
	none.Line(Running, "nobody reads this")
	none.Close()
	var zero Log
	zero.Line(Running, "nobody reads this")
	zero.Close()
}
