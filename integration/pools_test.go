// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// pool is a pool, as the admin API tells of it.
type pool struct {
	Name      string     `json:"name"`
	Waiting   int        `json:"waiting"`
	Upstreams []upstream `json:"upstreams"`
}

type upstream struct {
	URI   string `json:"uri"`
	State string `json:"state"`
}

// awaitPools waits until the broker's pools are as check wishes.
func awaitPools(t *testing.T, b *harness.Broker, check func([]pool) error) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		var pools []pool
		if err := b.Admin(t.Context(), "GET", "/broker/pools", &pools); err != nil {
			return err
		}
		return check(pools)
	}); err != nil {
		t.Fatal(err)
	}
}

// awaitState waits until a backend has one of these states in the broker's only
// pool.
func awaitState(t *testing.T, b *harness.Broker, backend *harness.Backend, states ...string) {
	t.Helper()
	awaitPools(t, b, func(pools []pool) error {
		for _, u := range pools[0].Upstreams {
			if u.URI == "http://"+backend.Addr && slices.Contains(states, u.State) {
				return nil
			}
		}
		return fmt.Errorf("upstreams are %v, want %s %v", pools[0].Upstreams, backend.Addr, states)
	})
}

// awaitWaiting waits until n requests wait in the broker's only pool.
func awaitWaiting(t *testing.T, b *harness.Broker, n int) {
	t.Helper()
	awaitPools(t, b, func(pools []pool) error {
		if pools[0].Waiting != n {
			return fmt.Errorf("%d requests wait, want %d", pools[0].Waiting, n)
		}
		return nil
	})
}

// awaitDoubts waits until the broker lists exactly these requests as in doubt:
// the parent hears of them a little later than the clients.
func awaitDoubts(t *testing.T, b *harness.Broker, want harness.Results) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		var doubts []struct {
			ID     string `json:"request_id"`
			Method string `json:"method"`
		}
		if err := b.Admin(t.Context(), "GET", "/broker/in-doubt", &doubts); err != nil {
			return err
		}
		listed := map[string]string{}
		for _, d := range doubts {
			listed[d.ID] = d.Method
		}
		for _, r := range want {
			if listed[r.ID] != r.Method {
				return fmt.Errorf("%s %s is in doubt and not listed", r.Method, r.ID)
			}
		}
		if len(doubts) != len(want) {
			return fmt.Errorf("%d requests are listed, %d were reported as in doubt", len(doubts), len(want))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
