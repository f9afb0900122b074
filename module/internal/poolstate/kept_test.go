// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// sent gives pieces to k and counts them by topic.
func sent(t *testing.T, k *Kept, count map[string]int) func(string, json.RawMessage) error {
	return func(topic string, piece json.RawMessage) error {
		if len(piece) > MaxPiece {
			t.Errorf("a piece has %d bytes", len(piece))
		}
		count[topic]++
		known, err := k.Take(topic, piece)
		if !known {
			t.Errorf("topic %q is not known", topic)
		}
		return err
	}
}

// source is a pool to be reported, whose head is looked at each time.
func source(name, from string, p *failover.Pool) Source {
	return Source{Identity: Identity{Name: name}, Pool: p, From: from, Touched: func() bool { return true }}
}

// carried is what the next process gets of k.
func carried(t *testing.T, k *Kept) *Kept {
	t.Helper()
	next := new(Kept)
	for topic, piece := range k.Pieces() {
		data, err := json.Marshal(piece)
		if err != nil {
			t.Fatal(err)
		}
		if known, err := next.Take(topic, data); !known || err != nil {
			t.Fatalf("piece %q: %v", topic, err)
		}
	}
	if !reflect.DeepEqual(next.room, k.room) {
		t.Errorf("it takes %d and %d bytes, and took %d and %d", next.room.heads, next.room.moved, k.room.heads, k.room.moved)
	}
	return next
}

// keysOf are n clients' keys, which are others for each seed.
func keysOf(seed, n int) (keys []byte) {
	for i := range n {
		keys = binary.BigEndian.AppendUint64(keys, affinity.Mix(uint64(seed)<<32|uint64(i)))
	}
	return keys
}

// clients are the sorted keys of all clients of a pool by where they are.
func clients(p *Pool) map[string][]uint64 {
	out := make(map[string][]uint64)
	for name, keys := range p.Moved {
		for ; len(keys) > 0; keys = keys[8:] {
			out[name] = append(out[name], binary.BigEndian.Uint64(keys))
		}
		slices.Sort(out[name])
	}
	return out
}

const one, two, three = "http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80"

// A state travels from process to process by way of the one that keeps it: whole once,
// then only what has changed, and what the next process was told does not come back.
func TestStateTravels(t *testing.T) {
	t.Parallel()
	a, b := proxytest.NewPool(t, one, two, three), proxytest.NewPool(t, one, two)
	if err := a.Restore(report.Snapshot{Moved: map[string][]byte{one: keysOf(1, 2000), two: keysOf(2, 2000), three: keysOf(3, 300)}}); err != nil {
		t.Fatal(err)
	}
	var kept Kept
	count := make(map[string]int)
	drains := Drains{{Address: one}}
	first := NewSender(new(Kept), sent(t, &kept, count))
	send := func(s *Sender, want map[string]int, sources ...Source) {
		t.Helper()
		clear(count)
		if left, err := s.Send(drains, sources); err != nil || left != "" {
			t.Fatalf("%q was left out (%v)", left, err)
		}
		if !maps.Equal(count, want) {
			t.Errorf("pieces %v were sent, want %v", count, want)
		}
	}
	all := map[string]int{parlance.TopicPlan: 1, parlance.TopicPool: 2, parlance.TopicMoved: affinity.MoveShards}
	send(first, all, source("a", "", a), source("b", "", b))
	send(first, map[string]int{}, source("a", "", a), source("b", "", b))
	want, err := kept.State()
	if err != nil || len(want.Pools) != 2 || !reflect.DeepEqual(want.Drains, drains) {
		t.Fatalf("kept are %d pools and %v (%v)", len(want.Pools), want.Drains, err)
	}
	if snapshot := (Pool{Snapshot: a.Snapshot()}); !reflect.DeepEqual(clients(&want.Pools[0]), clients(&snapshot)) {
		t.Error("other clients were moved than those kept")
	}
	// One client more is one piece.
	if err := a.Restore(report.Snapshot{Moved: map[string][]byte{"gone": keysOf(4, 1)}}); err != nil {
		t.Fatal(err)
	}
	send(first, map[string]int{parlance.TopicMoved: 1}, source("a", "", a), source("b", "", b))

	// The next process has another name for the pool, and one member less.
	got := carried(t, &kept)
	state, err := got.State()
	if err != nil || len(state.Pools) != 2 || !reflect.DeepEqual(clients(&state.Pools[0]), clients(&want.Pools[0])) {
		t.Fatalf("the next process has %d pools (%v)", len(state.Pools), err)
	}
	next := proxytest.NewPool(t, one, two)
	if err := next.Restore(state.Pools[0].Snapshot); err != nil {
		t.Fatal(err)
	}
	lost := make(map[int]bool)
	for _, key := range clients(&want.Pools[0])[three] {
		lost[int(affinity.Mix(key)>>58)] = true
	}
	second := NewSender(got, sent(t, &kept, count))
	send(second, map[string]int{parlance.TopicPlan: 1, parlance.TopicPool: 1, parlance.TopicMoved: len(lost)}, source("c", "a", next))
	if want, err = kept.State(); err != nil || len(want.Pools) != 1 || want.Pools[0].Name != "c" {
		t.Fatalf("kept are %d pools (%v)", len(want.Pools), err)
	}
	if snapshot := (Pool{Snapshot: next.Snapshot()}); !reflect.DeepEqual(clients(&want.Pools[0]), clients(&snapshot)) {
		t.Error("other clients were moved than those kept")
	}
	carried(t, &kept)
}

// What pools have learnt is kept within the limits, with a share of each pool's clients
// where they are too many, and without the sender being refused.
func TestStateIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it moves two million clients")
	}
	t.Parallel()
	const pools = 30 // of which 28 would fit
	var kept Kept
	s := NewSender(new(Kept), sent(t, &kept, make(map[string]int)))
	var sources []Source
	for i := range pools {
		p := proxytest.NewPool(t, one, two)
		if err := p.Restore(report.Snapshot{Moved: map[string][]byte{one: keysOf(i, affinity.MaxMoves)}}); err != nil {
			t.Fatal(err)
		}
		sources = append(sources, source(fmt.Sprint(i), "", p))
	}
	left, err := s.Send(nil, sources)
	if err != nil || left != "clients that were moved" {
		t.Errorf("%q was left out (%v)", left, err)
	}
	if kept.room.moved > MaxMoved || kept.room.moved < MaxMoved*9/10 {
		t.Errorf("%d bytes are kept", kept.room.moved)
	}
	for name, took := range kept.room.pools {
		n := 0
		for _, size := range took.moved {
			n += size
		}
		if n < MaxMoved/pools*9/10 {
			t.Errorf("pool %s has %d bytes of its clients", name, n)
		}
	}
	if _, err := s.Send(nil, sources[:1]); err != nil || kept.room.moved > MaxMoved/pools*11/10 {
		t.Errorf("of one pool %d bytes are kept (%v)", kept.room.moved, err)
	}
}

// A piece that no sender sends is an error and changes nothing.
func TestForeignPieces(t *testing.T) {
	t.Parallel()
	var k Kept
	take := func(topic, piece string) error {
		_, err := k.Take(topic, []byte(piece))
		return err
	}
	moves := func(pool string, part int, keys ...int) string {
		m := Moves{Pool: pool, Part: part}
		for i, n := range keys {
			m.To = append(m.To, Moved{fmt.Sprint(i), make([]byte, n)})
		}
		data, _ := json.Marshal(m)
		return string(data)
	}
	for _, p := range [][2]string{
		{parlance.TopicPlan, `{"pools":[{"name":"a"},{"name":"b"}],"drains":[{"address":"x"}]}`},
		{parlance.TopicPool, `{"name":"a","reached":true}`},
		{parlance.TopicMoved, moves("a", 63, 8*1000, 8*24)},
	} {
		if err := take(p[0], p[1]); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := k.State()
	for _, p := range [][2]string{
		{parlance.TopicPlan, `[]`},
		{parlance.TopicPlan, `{"pools":[{"name":"a"},{"name":"a"}]}`},
		{parlance.TopicPlan, `{"pools":[{"name":"c","from":"a"},{"name":"d","from":"a"}]}`},
		{parlance.TopicPool, `{"name":"c"}`},
		{parlance.TopicPool, `{"name":"a","moved":{"x":"AAAAAAAAAAA="}}`},
		{parlance.TopicPool, `{"name":"b","current":"` + strings.Repeat("x", MaxPiece) + `"}`},
		{parlance.TopicPool, `{"name":"b","reached":1}`},
		{parlance.TopicMoved, moves("c", 1, 8)},
		{parlance.TopicMoved, moves("c", 1)},
		{parlance.TopicMoved, moves("b", 64, 8)},
		{parlance.TopicMoved, moves("b", -1, 8)},
		{parlance.TopicMoved, moves("b", 1, 7)},
		{parlance.TopicMoved, moves("b", 1, 0)},
		{parlance.TopicMoved, moves("b", 1, 8*1000, 8*25)},
		{parlance.TopicMoved, `null1`},
	} {
		if err := take(p[0], p[1]); !errors.Is(err, ErrPiece) {
			t.Errorf("%s %.100s: %v", p[0], p[1], err)
		}
	}
	if known, err := k.Take("other", nil); known || err != nil {
		t.Error("another topic is taken for a piece", err)
	}
	if after, _ := k.State(); !reflect.DeepEqual(after, before) {
		t.Errorf("kept are %+v, and were %+v", after, before)
	}
}
