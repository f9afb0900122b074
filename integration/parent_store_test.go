// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
	"github.com/caddy-broker/caddy-broker/internal/fdstore"
)

const stored = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https off
	broker
}
http://:{$PORT} {
	reverse_proxy {$B1}
}
`

// TestParentDiesUnderItsServiceManager: while there is no parent, users queue at the
// sockets that the service manager keeps.
func TestParentDiesUnderItsServiceManager(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	b := newBroker(t, stored, append(env, "PORT="+port)...)
	manager, err := fdstore.New(filepath.Join(b.Dir, "notify"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	b.Manager = manager
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	want := []string{"broker.tcp/%3A" + port}
	if got := manager.Names(); !slices.Equal(got, want) {
		t.Fatalf("kept: %q, want %q", got, want)
	}

	client := &harness.Client{Addr: "127.0.0.1:" + port}
	load := harness.Load{Client: client, Rate: 100, Name: "kill"}
	run := load.Start(t.Context())
	var kills strikes
	for range 3 {
		<-time.After(time.Second)
		kills.strike(t, func() error { // it lasts until the child, which may take connections meanwhile, has seen it
			return cmp.Or(b.Process().Kill(), b.AwaitGone(t.Context(), soon))
		})
		<-time.After(time.Second) // as long as systemd waits
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
		awaitActive(t, b, 0)
	}
	<-time.After(time.Second)
	results := run.Stop()
	for _, r := range results.Failed() {
		// The child, which ends with its parent, may take what it has in progress along.
		if r.Fate == harness.Refused || !kills.hit(r) {
			t.Errorf("%s after %v: %v", r.Fate, r.Latency(), r.Err)
		}
	}
	for id, n := range executions(t, backends) {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}
	t.Logf("%d requests, the slowest took %v", len(results), results.Slowest())

	// What the next configuration does not have leaves the store, and is refused.
	if err := b.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	other := freePort(t)
	b.Env = append(b.Env, "PORT="+other)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	want = []string{"broker.tcp/%3A" + other}
	if err := harness.Until(t.Context(), soon, func() error {
		if got := manager.Names(); !slices.Equal(got, want) {
			return fmt.Errorf("kept: %q, want %q", got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r := client.Do(t.Context(), "old", time.Now(), harness.Request{Method: "GET"}); r.Fate == harness.OK {
		t.Errorf("the old address answers: %+v", r)
	}
}
