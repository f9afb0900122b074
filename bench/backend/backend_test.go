// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package backend_test

import (
	"os"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

func TestMain(m *testing.M) {
	backend.Main()
	os.Exit(m.Run())
}

func start(t *testing.T, mode backend.Mode) *backend.Backend {
	t.Helper()
	b, err := backend.New("b", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Start(t.Context(), mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Kill(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// ask sends one request on a connection of its own; what hangs ends soon.
func ask(t *testing.T, b *backend.Backend, id string) *harness.Result {
	t.Helper()
	client := harness.Client{Addr: b.Addr, Timeout: time.Second}
	return client.Do(t.Context(), id, time.Now(), harness.Request{Method: "GET"})
}

func TestModes(t *testing.T) {
	for _, tt := range []struct {
		mode     backend.Mode
		fate     harness.Fate
		status   int
		executed bool
	}{
		{backend.Serve, harness.OK, 200, true},
		{backend.Starting, harness.Status, 503, true},
		{backend.Reset, harness.Reset, 0, true},
		{backend.Cut, harness.EOF, 200, true},
		{backend.Drop, harness.Timeout, 0, false},
	} {
		t.Run(string(tt.mode), func(t *testing.T) {
			b := start(t, backend.Serve)
			for _, mode := range []backend.Mode{tt.mode, backend.Serve, tt.mode} {
				if err := b.Behave(t.Context(), mode); err != nil {
					t.Fatal(err)
				}
			}
			res := ask(t, b, "broken")
			if res.Fate != tt.fate || res.Status != tt.status {
				t.Errorf("%s %d (%v), want %s %d", res.Fate, res.Status, res.Err, tt.fate, tt.status)
			}
			if err := b.Behave(t.Context(), backend.Serve); err != nil {
				t.Fatal(err)
			}
			if res := ask(t, b, "after"); res.Fate != harness.OK {
				t.Errorf("afterwards: %s (%v)", res.Fate, res.Err)
			}
			counts, err := backend.Executions([]*backend.Backend{b})
			if err != nil {
				t.Fatal(err)
			}
			if executed := counts["broken"] == 1; executed != tt.executed || counts["after"] != 1 {
				t.Errorf("recorded %v", counts)
			}
		})
	}
}

func TestResetSparesHealthChecks(t *testing.T) {
	b := start(t, backend.Serve)
	if err := b.Behave(t.Context(), backend.Reset); err != nil {
		t.Fatal(err)
	}
	if res := ask(t, b, ""); res.Fate != harness.OK {
		t.Errorf("%s (%v)", res.Fate, res.Err)
	}
}

func TestCloseEndsOldConnectionsToo(t *testing.T) {
	b := start(t, backend.Serve)
	client := harness.Client{Addr: b.Addr, KeepAlive: true}
	defer client.Close()
	do := func(id string) harness.Fate {
		return client.Do(t.Context(), id, time.Now(), harness.Request{Method: "GET"}).Fate
	}
	if fate := do("first"); fate != harness.OK {
		t.Fatal(fate)
	}
	if err := b.Behave(t.Context(), backend.Close); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"kept", "new"} {
		if fate := do(id); fate != harness.EOF && fate != harness.Reset {
			t.Errorf("on a %s connection: %s", id, fate)
		}
	}
}

func TestRecordsOutliveKill(t *testing.T) {
	b := start(t, backend.Serve)
	ask(t, b, "one")
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if res := ask(t, b, "two"); res.Fate != harness.Refused {
		t.Errorf("a dead backend: %s (%v)", res.Fate, res.Err)
	}
	if _, err := b.Start(t.Context(), backend.Starting); err != nil {
		t.Fatal(err)
	}
	ask(t, b, "three")
	records, err := b.Records()
	if err != nil {
		t.Fatal(err)
	}
	want := []backend.Record{{ID: "one", Method: "GET", Mode: backend.Serve}, {ID: "three", Method: "GET", Mode: backend.Starting}}
	if len(records) != 2 || records[0] != want[0] || records[1] != want[1] {
		t.Errorf("records %v, want %v", records, want)
	}
}
