// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// quietCarrier reaches every member at once.
type quietCarrier struct{}

func (quietCarrier) Ping(context.Context, *Member) report.PingResult {
	return report.PingResult{Status: 200}
}
func (quietCarrier) Release(*Member) {}
func (quietCarrier) Warm([]*Member)  {}

func manyURIs(n int) (list []address.URI) {
	for i := range n {
		list = append(list, address.URI{Scheme: "http", Host: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), Port: "8080"})
	}
	return list
}

// newStill makes a pool that is not started: nothing runs beside the benchmark.
func newStill(tb testing.TB, n int, change func(*address.Options)) *Pool {
	tb.Helper()
	cfg := Config{Name: "still", URIs: manyURIs(n), Options: address.DefaultOptions(), Carrier: quietCarrier{}}
	if change != nil {
		change(&cfg.Options)
	}
	p, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	p.do(func(x *machine) error {
		x.reached = true
		for _, m := range x.members {
			x.see(m)
		}
		x.dirty = true
		return nil
	})
	return p
}

// benchKeys are the clients of a benchmark: as many as a pool remembers exceptions.
var benchKeys = func() []uint64 {
	keys := make([]uint64, affinity.MaxMoves)
	for i := range keys {
		keys[i] = affinity.KeyOf(strconv.Itoa(i))
	}
	return keys
}()

// BenchmarkSelect measures what choosing a backend costs a request: Next, with
// the place that it takes. The figure to reach is 200 ns and no allocation;
// 300 ns with one member of 1,000 down or 65,536 exceptions.
func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		b.Run(fmt.Sprintf("backends=%d", n), func(b *testing.B) {
			benchmarkSelect(b, newStill(b, n, nil))
		})
	}
	b.Run("backends=3/ordered", func(b *testing.B) {
		benchmarkSelect(b, newStill(b, 3, func(o *address.Options) { o.Randomize = false }))
	})
	b.Run("backends=1000/one_down", func(b *testing.B) {
		p := newStill(b, 1000, nil)
		down(p, 7)
		benchmarkSelect(b, p)
	})
	b.Run("backends=1000/exceptions=65536", func(b *testing.B) {
		p := newStill(b, 1000, nil)
		down(p, 7)
		v := p.view.Load()
		for _, key := range benchKeys {
			p.moves.Put(key, v.members[(v.first(affinity.BucketOf(key))+8)%1000], 1)
		}
		b.ReportMetric(float64(p.moves.Len()), "exceptions")
		// Members that were lost do not call their clients home.
		p.do(func(x *machine) error {
			for _, m := range x.members {
				m.home = false
			}
			x.dirty = true
			return nil
		})
		benchmarkSelect(b, p)
	})
}

func down(p *Pool, i int) {
	p.do(func(x *machine) error { x.fail(x.members[i], "dial", report.Note(errRefused)); return nil })
}

// benchmarkSelect times Next alone: requests are made and returned beside the clock.
func benchmarkSelect(b *testing.B, p *Pool) {
	var batch [1024]Request
	ctx := context.Background()
	at := 0
	round := func(n int, start, stop func()) {
		for i := range batch[:n] {
			batch[i] = Request{Key: benchKeys[at%len(benchKeys)], Keyed: true, Safe: true}
			at++
		}
		start()
		for i := range batch[:n] {
			if _, err := p.Next(ctx, &batch[i]); err != nil {
				b.Fatal(err)
			}
		}
		stop()
		for i := range batch[:n] {
			batch[i].at.Connected()
			batch[i].at.End(report.Answered, nil)
			batch[i].at.Done()
		}
	}
	for range len(benchKeys) / len(batch) {
		round(len(batch), func() {}, func() {}) // a bucket is scored at its first use
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.StopTimer()
	for left := b.N; left > 0; left -= len(batch) {
		round(min(left, len(batch)), b.StartTimer, b.StopTimer)
	}
}

// BenchmarkRequest measures all that the pool costs a request, from Next to Done.
func BenchmarkRequest(b *testing.B) {
	p := newStill(b, 3, nil)
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := Request{Key: benchKeys[i%len(benchKeys)], Keyed: true, Safe: true}
		i++
		if _, err := p.Next(ctx, &r); err != nil {
			b.Fatal(err)
		}
		r.at.Connected()
		r.at.Written()
		r.at.End(report.Answered, nil)
		r.at.Done()
	}
}
