// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
)

// fullState has as much of everything as pools can have learnt.
func fullState(pools, moved int) (s State) {
	for i := range pools {
		name := fmt.Sprintf("http://10.0.%d.1:80", i)
		p := Pool{Identity: Identity{Name: name, Addresses: []string{name}}}
		p.Snapshot = failover.Snapshot{
			Failover: name,
			Removed:  []address.URI{{Scheme: "http", Host: "gone", Port: "80"}},
			Down:     []failover.DownSnapshot{{Name: name, Since: time.Unix(1, 0), Error: strings.Repeat("refused ", 100)}},
			Dynamic:  make([]address.URI, 20),
			Moved:    map[string][]byte{name: make([]byte, 8*moved), "http://other:80": make([]byte, 8)},
		}
		s.Pools = append(s.Pools, p)
		s.Drains = s.Drains.Decide("", name, true)
	}
	return s
}

// A report never exceeds its limit. The operator's decisions are in every one that is
// made, and the clients that were moved are the first to go.
func TestPoolsReportIsBounded(t *testing.T) {
	t.Parallel()
	s := fullState(5, 10_000)
	whole, left, err := s.Encode(1 << 30)
	if err != nil || left != "" {
		t.Fatalf("without a limit %q is left out (%v)", left, err)
	}
	without := func(drop func(*Pool)) int {
		s := fullState(5, 10_000)
		s.each(drop)
		data, _ := json.Marshal(s)
		return len(data)
	}
	for _, tt := range []struct {
		limit        int
		left         string
		moved, cause bool
		down         bool
	}{
		{len(whole), "", true, true, true},
		{len(whole) - 1, "clients that were moved", true, true, true},
		{len(whole) / 2, "clients that were moved", true, true, true},
		{without(func(p *Pool) { p.Moved = nil }), "clients that were moved", false, true, true},
		{without(func(p *Pool) { p.Moved, p.Down[0].Error = nil, "" }), "also why backends are down", false, false, true},
		{without(func(p *Pool) { p.Moved, p.Down = nil, nil }), "also which backends are down", false, false, false},
		{without(func(p *Pool) { p.Moved, p.Down, p.Dynamic = nil, nil, nil }), "also what sources of addresses said", false, false, false},
	} {
		data, left, err := s.Encode(tt.limit)
		if err != nil || len(data) > tt.limit || left != tt.left {
			t.Errorf("limit %d: %d bytes without %q (%v), want %q", tt.limit, len(data), left, err, tt.left)
			continue
		}
		var got State
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Drains) != 5 || len(got.Pools) != 5 {
			t.Fatalf("limit %d: %d drains of %d pools are left", tt.limit, len(got.Drains), len(got.Pools))
		}
		for _, p := range got.Pools {
			if p.Failover == "" || len(p.Removed) != 1 {
				t.Errorf("limit %d: the operator's decisions about %s are not there", tt.limit, p.Name)
			}
			keys := p.Moved[p.Name]
			if len(keys)%8 != 0 || (len(keys) > 0) != tt.moved || (len(p.Down) > 0) != tt.down ||
				len(p.Down) > 0 && (p.Down[0].Error != "") != tt.cause {
				t.Errorf("limit %d: %s has %d bytes of clients and is down as %.30v", tt.limit, p.Name, len(keys), p.Down)
			}
		}
	}
	if half, _, _ := s.Encode(len(whole) / 2); len(half) < len(whole)*45/100 {
		t.Errorf("of %d bytes %d are left where half was allowed", len(whole), len(half))
	}
	if _, _, err := s.Encode(100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a limit of 100 bytes: %v", err)
	}
	again, _, err := s.Encode(1 << 30)
	if err != nil || string(again) != string(whole) {
		t.Error("the state itself was changed")
	}
}
