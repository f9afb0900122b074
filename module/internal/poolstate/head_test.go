// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// fullPool has as much of everything as a pool can have learnt.
func fullPool() Pool {
	const name = "http://10.0.0.1:80"
	return Pool{
		Identity: Identity{Name: name, Addresses: []string{name}},
		Snapshot: report.Snapshot{
			Failover: name,
			Removed:  []address.URI{{Scheme: "http", Host: "gone", Port: "80"}},
			Down:     []report.DownSnapshot{{Name: name, Since: time.Unix(1, 0), Error: strings.Repeat("refused ", 100)}},
			Back:     []report.BackSnapshot{{Name: name}},
			Dynamic:  make([]address.URI, 20),
			Moved:    map[string][]byte{name: make([]byte, 8)},
		},
	}
}

// A head never exceeds its limit. The operator's decisions are in every one that is
// made, and why a backend is down is the first to go.
func TestHeadIsBounded(t *testing.T) {
	t.Parallel()
	p := fullPool()
	whole, left, err := p.EncodeHead(1 << 30)
	if err != nil || left != "" {
		t.Fatalf("without a limit %q is left out (%v)", left, err)
	}
	without := func(drop func(*Pool)) int {
		p := fullPool()
		p.Moved = nil
		drop(&p)
		data, _ := json.Marshal(p)
		return len(data)
	}
	for _, tt := range []struct {
		limit       int
		left        string
		cause, down bool
		dynamic     int
	}{
		{len(whole), "", true, true, 20},
		{len(whole) - 1, "why backends are down", false, true, 20},
		{without(func(p *Pool) { p.Down[0].Error = "" }), "why backends are down", false, true, 20},
		{without(func(p *Pool) { p.Down, p.Back = nil, nil }), "also which backends are down", false, false, 20},
		{without(func(p *Pool) { p.Down, p.Back, p.Dynamic = nil, nil, nil }), "also what sources of addresses said", false, false, 0},
	} {
		data, left, err := p.EncodeHead(tt.limit)
		if err != nil || len(data) > tt.limit || left != tt.left {
			t.Errorf("limit %d: %d bytes without %q (%v), want %q", tt.limit, len(data), left, err, tt.left)
			continue
		}
		var got Pool
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if got.Failover == "" || len(got.Removed) != 1 || len(got.Moved) != 0 {
			t.Errorf("limit %d: the operator's decisions are not there, or moved clients are: %+v", tt.limit, got)
		}
		if (len(got.Down) > 0) != tt.down || len(got.Dynamic) != tt.dynamic || tt.down && (got.Down[0].Error != "") != tt.cause {
			t.Errorf("limit %d: down are %.60v, %d addresses", tt.limit, got.Down, len(got.Dynamic))
		}
	}
	if _, _, err := p.EncodeHead(100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a limit of 100 bytes: %v", err)
	}
	if again, _, err := p.EncodeHead(1 << 30); err != nil || string(again) != string(whole) || len(p.Moved) != 1 {
		t.Error("the pool itself was changed")
	}
}
