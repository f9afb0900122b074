// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

func TestSystemsFigures(t *testing.T) {
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
		if n, ok := firstOf(c.files...).Count(); n != c.want || ok != c.ok {
			t.Errorf("%v: %d, %v, want %d, %v", c.files, n, ok, c.want, c.ok)
		}
	}
	const much = 8 << 20
	kept := make([]byte, much)
	for i := range kept {
		kept[i] = 1 // so that it is there
	}
	if u := Of(os.Getpid()); u.Own < much || u.Resident <= u.Own || u.Peak < u.Resident {
		t.Errorf("this process has %+v in memory", u)
	}
	runtime.KeepAlive(kept)
}

// A process that this one has started is to be ended before this one.
func TestEndFirst(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	score := func(pid string) int {
		text, err := os.ReadFile("/proc/" + pid + "/oom_score_adj")
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	own := score("self")
	if err := EndFirst(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if got, want := score(strconv.Itoa(cmd.Process.Pid)), firstScore(own); got != want || got <= own && own < maxOOMScore {
		t.Errorf("it is ended at %d, want %d, and this one at %d", got, want, own)
	}
}

func TestFirstScore(t *testing.T) {
	for own, want := range map[int]int{-1000: 100, -999: -899, 0: 100, 950: 1000, 1000: 1000} {
		if got := firstScore(own); got != want {
			t.Errorf("before %d: %d, want %d", own, got, want)
		}
	}
}
