// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A process that was killed while the system ended one for lack of memory was that one.
func TestOOM(t *testing.T) {
	ready := time.Unix(1, 0)
	for name, c := range map[string]struct {
		in   inExited
		p    proc
		want string
	}{
		"killed":            {inExited{exit: Exit{Signal: "SIGKILL"}}, proc{pid: 1, ready: ready}, exitKilled},
		"oom":               {inExited{exit: Exit{Signal: "SIGKILL"}, oom: true}, proc{pid: 1, ready: ready}, exitOOM},
		"oom while loading": {inExited{exit: Exit{Signal: "SIGKILL"}, oom: true}, proc{pid: 1}, exitOOM},
		"crash":             {inExited{exit: Exit{Signal: "SIGSEGV"}}, proc{pid: 1, ready: ready}, exitCrash},
		"not ready":         {inExited{exit: Exit{Signal: "SIGKILL"}}, proc{pid: 1}, exitStartFailure},
		"not spawned":       {inExited{exit: Exit{Code: 127}}, proc{}, exitSpawn},
	} {
		if got := c.in.reason(&c.p); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	events := file("memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n")
	other := file("other", "oom_kill_disable 0\nunder_oom 0\n")
	for _, c := range []struct {
		files []string
		want  int64
		ok    bool
	}{
		{[]string{events}, 2, true},
		{[]string{filepath.Join(dir, "none"), events}, 2, true},
		{[]string{other}, 0, false},
		{[]string{other, events}, 2, true},
	} {
		if n, ok := counted(c.files...); n != c.want || ok != c.ok {
			t.Errorf("%v: %d, %v, want %d, %v", c.files, n, ok, c.want, c.ok)
		}
	}
	now, peak := memoryOf(os.Getpid())
	if now < 1<<20 || peak < now {
		t.Errorf("this process has %d bytes in memory, at most %d", now, peak)
	}
}
