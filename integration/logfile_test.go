// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var logRounds = flag.Int("log-rounds", 1, "how often the child is promoted and replaced while its log file is rolled")

const logged = `{
	admin {$ADMIN}
	broker {
		standby 1
	}
}
http://:{$PORT} {
	log {
		output file {$LOG} {
			roll_size 1MiB
			{$ROLL}
		}
	}
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover
	}
}
`

// loggedRequest finds the requests in an access log.
var loggedRequest = regexp.MustCompile(`"uri":"/(\w+)\?`)

// TestNoLineIsLost: the log file is rolled while a standby has it open, while that one is
// promoted, and while a replaced process writes what it finishes. An outside logrotate
// does the same where Caddy's own rolling is off.
func TestNoLineIsLost(t *testing.T) {
	t.Parallel()
	for range *logRounds {
		t.Run("rolled", func(t *testing.T) { logRound(t, "roll_keep 100", func(string) {}) })
		t.Run("logrotate", func(t *testing.T) {
			rotations := 0
			logRound(t, "roll_disabled", func(path string) {
				rotations++
				if err := os.Rename(path, fmt.Sprintf("%s.%d", path, rotations)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func logRound(t *testing.T, roll string, rotate func(path string)) {
	backends, env := newBackends(t)
	start(t, backends...)
	dir, port := t.TempDir(), freePort(t)
	path := filepath.Join(dir, "access.log")
	b := startBroker(t, logged, append(env, "PORT="+port, "LOG="+path, "ROLL="+roll)...)
	awaitStandby(t, b)
	addr := "127.0.0.1:" + port
	sent := 0
	var mu sync.Mutex
	// send makes requests side by side, each of which is one line.
	send := func(n int, query string) {
		var wg sync.WaitGroup
		defer wg.Wait()
		for range min(n, 10) {
			wg.Go(func() {
				client := &harness.Client{Addr: addr, KeepAlive: true, Timeout: soon}
				defer client.Close()
				for range max(n/10, 1) {
					mu.Lock()
					sent++
					id := fmt.Sprintf("r%d", sent)
					mu.Unlock()
					res := client.Do(t.Context(), id, time.Now(), harness.Request{Method: "GET", Path: "/" + id + "?" + query})
					if res.Fate != harness.OK {
						t.Errorf("%s: %s %d (%v)", id, res.Fate, res.Status, res.Err)
					}
				}
			})
		}
	}
	pad := "pad=" + strings.Repeat("x", 300)
	send(2500, pad)
	rotate(path)
	pid := awaitActive(t, b, 0)
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	pid = awaitActive(t, b, pid)
	send(100, pad)
	rotate(path)
	var slow sync.WaitGroup
	slow.Go(func() { send(10, "delay=1500ms&"+pad) })
	executing := func() error {
		if n := len(executions(t, backends)); n < 2610 {
			return fmt.Errorf("%d of 2610 requests have come to a backend", n)
		}
		return nil
	}
	if err := harness.Until(t.Context(), soon, executing); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(strings.Replace(logged, "reverse_proxy", "header X-Changed yes\n\treverse_proxy", 1)); err != nil {
		t.Fatal(err)
	}
	operate(t, b, "reload")
	awaitActive(t, b, pid)
	rotate(path)
	send(1000, pad)
	slow.Wait()
	if err := harness.Until(t.Context(), soon, func() error {
		counts, err := linesIn(dir)
		if err != nil {
			return err
		}
		missing := 0
		for i := range sent {
			switch n := counts[fmt.Sprintf("r%d", i+1)]; {
			case n == 0:
				missing++
			case n > 1:
				return fmt.Errorf("r%d is there %d times", i+1, n)
			}
		}
		if missing > 0 {
			return fmt.Errorf("of %d lines %d are missing", sent, missing)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) < 3 {
		t.Errorf("the file was hardly rolled: %v", files)
	}
}

// linesIn counts the requests in all log files of a directory.
func linesIn(dir string) (map[string]int, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int)
	for _, name := range names {
		text, err := readLog(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // it was compressed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, m := range loggedRequest.FindAllStringSubmatch(text, -1) {
			counts[m[1]]++
		}
	}
	return counts, nil
}

func readLog(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return "", err
		}
	}
	text, err := io.ReadAll(r)
	return string(text), err
}
