// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pullingSite pulls its successor from {FROM} each second.
const pullingSite = `{
	"admin": {"listen": "{ADMIN}", "config": {"load": {"module": "http", "url": "{FROM}"}, "load_delay": "1s"}},
	"apps": {"http": {"servers": {"s": {"listen": [":{PORT}"], "routes": [{"handle": [{"handler": "{HANDLER}", "body": "{SAYS}"}]}]}}}, "broker": {}}
}`

// TestPulledConfiguration: what a broker pulls is supervised, and pulls on; what cannot
// be loaded leaves everything as it is, and is the only thing that is said to be wrong.
func TestPulledConfiguration(t *testing.T) {
	var offered atomic.Pointer[string]
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, *offered.Load())
	}))
	t.Cleanup(from.Close)
	port := freePort(t)
	b := newBroker(t, "")
	configuration := func(handler, says string) string {
		return strings.NewReplacer("{ADMIN}", b.AdminAddr(), "{FROM}", from.URL, "{PORT}", port, "{HANDLER}", handler, "{SAYS}", says).Replace(pullingSite)
	}
	offer := func(text string) { offered.Store(&text) }
	offer(configuration("static_response", "first"))
	file := filepath.Join(b.Dir, "caddy.json")
	if err := os.WriteFile(file, []byte(configuration("static_response", "begin")), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Args = []string{"run", "--config", file}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	answers(t, port, "first")
	offer(strings.Replace(configuration("static_response", "second"), `, "broker": {}`, "", 1))
	answers(t, port, "second")
	const failed = "failed loading dynamic config"
	if out := b.Process().Output(); strings.Contains(out, failed) {
		t.Errorf("it is said of a pull that went well that it failed:\n%s", out)
	}
	pid := awaitActive(t, b, 0)
	offer(configuration("none_of_that_name", "third"))
	said(t, b, failed)
	if now := awaitActive(t, b, 0); now != pid {
		t.Errorf("the child was %d and is %d", pid, now)
	}
	answers(t, port, "second")
	offer(configuration("static_response", "fourth"))
	answers(t, port, "fourth")
}

// TestPulledAndRolledBack: what was rolled back is not pulled again and again, only to be
// rolled back each time; what comes after it is.
func TestPulledAndRolledBack(t *testing.T) {
	t.Parallel()
	var offered atomic.Pointer[string]
	asked := make(chan struct{})
	var pulls sync.RWMutex // held while nothing shall be pulled
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		pulls.RLock()
		defer pulls.RUnlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, *offered.Load())
	}))
	t.Cleanup(from.Close)
	port := freePort(t)
	b := newBroker(t, "")
	configuration := func(says string) string {
		return strings.NewReplacer("{ADMIN}", b.AdminAddr(), "{FROM}", from.URL, "{PORT}", port, "{HANDLER}", "static_response", "{SAYS}", says,
			`"broker": {}`, `"broker": {"probation": "1m", "state_dir": "off"}`).Replace(pullingSite)
	}
	offer := func(says string) {
		text := configuration(says)
		offered.Store(&text)
	}
	offer("good")
	file := filepath.Join(b.Dir, "caddy.json")
	if err := os.WriteFile(file, []byte(configuration("good")), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Args = []string{"run", "--config", file}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	first := awaitActive(t, b, 0)
	answers(t, port, "good")
	offer("bad")
	answers(t, port, "bad")
	bad := awaitActive(t, b, first)
	good := func() int {
		pulls.Lock()
		defer pulls.Unlock()
		if err := killProcess(t, bad); err != nil {
			t.Fatal(err)
		}
		answers(t, port, "good")
		return awaitActive(t, b, bad)
	}()
	for range 4 { // the first of these may have begun before
		select {
		case <-asked:
		case <-time.After(soon):
			t.Fatal("it is not pulled any more")
		}
	}
	if now := awaitActive(t, b, 0); now != good {
		t.Errorf("process %d serves, not %d", now, good)
	}
	answers(t, port, "good")
	offer("better")
	answers(t, port, "better")
}
