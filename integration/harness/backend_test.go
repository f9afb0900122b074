// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	BackendMain()
	os.Exit(m.Run())
}

func newBackend(t *testing.T) *Backend {
	t.Helper()
	b, err := NewBackend("one", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBackendRecordSurvivesSIGKILL(t *testing.T) {
	b := newBackend(t)
	client := &Client{Addr: b.Addr}
	run := (&Load{Client: client, Rate: 500, Count: 100, Name: "a", Requests: []Request{{Method: "POST", Body: []byte("body")}}}).Start(t.Context())
	if results := run.Wait(); len(results.Failed()) != 0 {
		t.Fatal(results)
	}

	slow := (&Load{Client: client, Rate: 100, Count: 10, Name: "b", Requests: []Request{{Method: "GET", Path: "/?delay=1m"}}}).Start(t.Context())
	if err := Until(t.Context(), startPatience, func() error { return countIs(b, 110) }); err != nil {
		t.Fatal(err)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if results := slow.Wait(); len(results.Failed()) != 10 {
		t.Errorf("requests in progress at the kill: %s", results)
	}
	if res := client.Do(t.Context(), "c", time.Now(), Request{Method: "GET"}); res.Fate != Refused {
		t.Errorf("a dead backend: got %s (%v), want %s", res.Fate, res.Err, Refused)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := client.Do(t.Context(), "d", time.Now(), Request{Method: "GET"}); res.Fate != OK || res.Header.Get(BackendName) != "one" {
		t.Errorf("a backend started again: got %s (%v) from %q", res.Fate, res.Err, res.Header.Get(BackendName))
	}
	if err := countIs(b, 111); err != nil {
		t.Error(err)
	}
	executions, err := b.Executions()
	if err != nil {
		t.Fatal(err)
	}
	for id, n := range executions {
		if n != 1 {
			t.Errorf("request %s was recorded %d times", id, n)
		}
	}
}

func TestBackendPausedAcceptsAndDoesNotAnswer(t *testing.T) {
	b := newBackend(t)
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	client := &Client{Addr: b.Addr}
	run := (&Load{Client: client, Rate: 100, Count: 1, Name: "a"}).Start(t.Context())
	short := &Client{Addr: b.Addr, Timeout: 100 * time.Millisecond}
	if res := short.Do(t.Context(), "b", time.Now(), Request{Method: "GET"}); res.Fate != Timeout || res.Dialed.IsZero() {
		t.Errorf("got %s (%v), want a connection and %s", res.Fate, res.Err, Timeout)
	}
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	if results := run.Wait(); len(results.Failed()) != 0 {
		t.Errorf("resumed: %s", results)
	}
}

func TestAliveDoesNotCountTheDead(t *testing.T) {
	b := newBackend(t)
	pid := b.proc.Pid()
	if !Alive(pid) {
		t.Error("a running process counts as dead")
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if Alive(pid) {
		t.Error("a killed process counts as alive")
	}
}

func countIs(b *Backend, want int) error {
	executions, err := b.Executions()
	if err != nil {
		return err
	}
	if len(executions) != want {
		return fmt.Errorf("%d requests were recorded, want %d", len(executions), want)
	}
	return nil
}
