// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// haLine is a line of the log: time, code, text.
var haLine = regexp.MustCompile(`^(\d\d/\d\d/\d{4}_\d\d:\d\d:\d\d) (SHA\d{4}) (.+)$`)

// A reload that names another log goes on there at once, with the same process.
func TestHALogMoves(t *testing.T) {
	t.Parallel()
	const site = `{
	admin {$ADMIN}
	broker {
		ha_log broker_ha.log
	}
}
http://:{$PORT} {
	respond ok
}
`
	b := startBroker(t, site, "PORT="+freePort(t))
	pid := awaitActive(t, b, 0)
	before, err := b.HALog()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := reload(t, b, strings.Replace(site, "broker_ha.log", "other.log", 1)); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d", pid, now)
	}
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, pid)
	text, err := os.ReadFile(filepath.Join(b.Dir, "other.log"))
	if err != nil {
		t.Fatal(err)
	}
	codes := ""
	for line := range strings.Lines(string(text)) {
		codes += " " + strings.Fields(line)[1]
	}
	if want := " SHA0502 SHA0425 SHA0579 SHA0584 SHA0558"; !strings.HasPrefix(codes, want) {
		t.Errorf("the other log begins with%s, want%s", codes, want)
	}
	if after, err := b.HALog(); err != nil || len(after) != len(before) {
		t.Errorf("the first log grew from %d to %d lines (%v)", len(before), len(after), err)
	}
}

func TestHALog(t *testing.T) {
	t.Parallel()
	b := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	respond ok
}
`, "PORT="+freePort(t))
	begun := time.Now()
	parent, first := b.Process().Pid(), awaitActive(t, b, 0)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := awaitActive(t, b, first)

	// The texts, with the code that a death by SIGKILL has on Unix.
	starting := func(pid int) []string {
		return []string{
			`SHA0158 \[HA\] command line for child broker: \[.*caddy broker run --child\]`,
			`SHA0173 \[HA\] creating process for child broker`,
			fmt.Sprintf(`SHA0214 \[HA\] success creating child process for broker ha worker, pid=%d`, pid),
			`SHA0877 waiting notification from child process`,
			`SHA0899 ok, broker child is running`,
			`SHA0817 waiting child process termination`,
		}
	}
	want := []string{`SHA0502 opening log for Broker HTTP HA`, `SHA0425 watcher process pid=` + strconv.Itoa(parent)}
	want = append(want, starting(first)...)
	want = append(want, `SHA0579 child process terminated`, `SHA0584 child broker terminated with code 137`, `SHA0558 restarting child broker`)
	want = append(want, starting(second)...)

	var lines []string
	if err := harness.Until(t.Context(), soon, func() (err error) {
		if lines, err = b.HALog(); err == nil && len(lines) < len(want) {
			err = fmt.Errorf("%d of %d lines: %q", len(lines), len(want), lines)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	times := map[string]time.Time{} // of the last line with a code
	for i, line := range lines {
		parts := haLine.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("line %d is %q, which has not the shape of one", i+1, line)
			continue
		}
		at, err := time.ParseInLocation("02/01/2006_15:04:05", parts[1], time.Local)
		if err != nil {
			t.Errorf("line %d: %v", i+1, err)
		}
		if at.Sub(begun).Abs() > soon*2 {
			t.Errorf("line %d says %s, in local time it is about %s", i+1, at, begun)
		}
		times[parts[2]] = at
		if i >= len(want) {
			t.Errorf("line %d is %q, want no more", i+1, line)
		} else if got := parts[2] + " " + parts[3]; !regexp.MustCompile("^" + want[i] + "$").MatchString(got) {
			t.Errorf("line %d says %q, want %q", i+1, got, want[i])
		}
	}
	// Two seconds by default; the log counts whole ones.
	if wait := times["SHA0558"].Sub(times["SHA0579"]); wait < time.Second || wait > 3*time.Second {
		t.Errorf("restarted %s after the death, want 2s", wait)
	}
}
