// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errRefused = errors.New("connection refused")

// bench is a pool with backends that do what a test says, inside a bubble of
// testing/synctest.
type bench struct {
	t     *testing.T
	p     *Pool
	start time.Time

	mu     sync.Mutex
	down   map[string]bool // refuses
	hangs  map[string]bool // accepts and never answers
	status map[string]int
	pings  []mark
	events []Event
	warm   []string
	freed  []string
}

// mark is something that happened to a member, in time since the start.
type mark struct {
	at   time.Duration
	name string
}

func (b *bench) Ping(ctx context.Context, m *Member) PingResult {
	b.mu.Lock()
	b.pings = append(b.pings, mark{time.Since(b.start), m.Name})
	down, hangs, status := b.down[m.Name], b.hangs[m.Name], b.status[m.Name]
	b.mu.Unlock()
	switch {
	case down:
		return PingResult{Err: errRefused}
	case hangs:
		<-ctx.Done()
		return PingResult{Err: ctx.Err()}
	case status == 0:
		status = 200
	}
	return PingResult{Status: status}
}

func (b *bench) Release(m *Member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed = append(b.freed, m.Name)
}

func (b *bench) Warm(members []*Member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warm = nil
	for _, m := range members {
		b.warm = append(b.warm, m.Name)
	}
}

func (b *bench) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// passes are the times of the pings of one member, since the start.
func (b *bench) passes(name string) (list []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pings {
		if p.name == name {
			list = append(list, p.at)
		}
	}
	return list
}

func (b *bench) names(name string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Name == name {
			n++
		}
	}
	return n
}

// inBubble runs f with a started pool over the addresses a, b, c, … of n
// members; change edits the options.
func inBubble(t *testing.T, n int, change func(*Config), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, down: map[string]bool{}, hangs: map[string]bool{}, status: map[string]int{}, start: time.Now()}
		cfg := Config{Name: "test", Options: DefaultOptions(), Carrier: b, URIs: uris(n)}
		cfg.Options.ReconnectJitter = 0
		cfg.Options.Randomize = false
		cfg.Emit = func(e Event) { b.set(func() { b.events = append(b.events, e) }) }
		if change != nil {
			change(&cfg)
		}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		b.p = p
		defer p.Close()
		f(b)
	})
}

func uris(n int) (list []URI) {
	for i := range n {
		list = append(list, URI{Scheme: "http", Host: string(rune('a' + i)), Port: "80"})
	}
	return list
}

// go1 sends one request through the pool like a carrier would, against the
// backends as they are, and returns the member that answered.
func (b *bench) send(r *Request) (*Member, error) {
	for {
		m, err := b.p.Next(b.t.Context(), r)
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		down, status := b.down[m.Name], b.status[m.Name]
		b.mu.Unlock()
		if down {
			b.p.End(r, DialFailed, errRefused)
			continue
		}
		b.p.Connected(r)
		b.p.Written(r)
		m.Touch()
		r.Status = status
		b.p.End(r, Answered, nil)
		b.p.Done(r)
		return m, nil
	}
}

func (b *bench) expect(want string) {
	b.t.Helper()
	m, err := b.send(&Request{Safe: true})
	if err != nil {
		b.t.Fatalf("got error %v, want %s", err, want)
	}
	if m.URI.Host != want {
		b.t.Fatalf("got %s, want %s", m.URI.Host, want)
	}
}

func TestDialFailureGoesToTheNext(t *testing.T) {
	inBubble(t, 3, nil, func(b *bench) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		b.set(func() { b.down["http://a:80"] = true })
		b.expect("b")
		b.expect("b")
		b.set(func() { b.down["http://b:80"] = true })
		b.expect("c")
	})
}

func TestWaitsForTheFirstThatReturns(t *testing.T) {
	inBubble(t, 2, nil, func(b *bench) {
		b.set(func() { b.down["http://a:80"], b.down["http://b:80"] = true, true })
		b.p.Start()
		synctest.Wait()
		time.AfterFunc(1500*time.Millisecond, func() { b.set(func() { b.down["http://b:80"] = false }) })
		b.expect("b")
		if took := time.Since(b.start); took < 1500*time.Millisecond || took > 2500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestStartUpPasses(t *testing.T) {
	inBubble(t, 1, nil, func(b *bench) {
		b.set(func() { b.down["http://a:80"] = true })
		b.p.Start()
		time.Sleep(700 * time.Millisecond)
		want := []time.Duration{0, 20, 60, 140, 300, 620}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if got := b.passes("http://a:80"); !slices.Equal(got, want) {
			t.Errorf("passes at %v, want %v", got, want)
		}
	})
}
