// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// intruder is a carrier all of whose code calls the pool back, from wherever the
// pool calls it. Under the pool's lock that never returns.
type intruder struct {
	t *testing.T
	p *Pool

	mu    sync.Mutex
	calls map[string]int
	says  report.Availability // of b
	lost  bool                // no backend answers
	mute  *Member             // answers no ping
	more  chan struct{}
}

// called calls the pool back, and counts.
func (i *intruder) called(name string) {
	i.mu.Lock()
	p := i.p
	i.mu.Unlock()
	if p != nil {
		back := make(chan struct{})
		go func() {
			defer close(back)
			p.feed(inNothing{}) // takes the lock as every call does
			p.Status()
			p.Members()
			p.All()
		}()
		select {
		case <-back:
		case <-time.After(10 * time.Second):
			i.t.Errorf("%s was called under the pool's lock", name)
			i.set(func() { i.p = nil }) // one is enough
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls[name]++
	select {
	case i.more <- struct{}{}:
	default:
	}
}

// await waits until a callback was called that often.
func (i *intruder) await(name string, n int) {
	i.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		i.mu.Lock()
		got := i.calls[name]
		i.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-i.more:
		case <-limit:
			i.t.Fatalf("%s was called %d times, want %d", name, got, n)
		}
	}
}

func (i *intruder) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *intruder) Ping(_ context.Context, m *Member) report.PingResult {
	i.called("Ping")
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.lost || m == i.mute {
		return report.PingResult{Err: intrusion{i: i}, Unanswered: !i.lost}
	}
	return report.PingResult{Status: 200}
}
func (i *intruder) Release(*Member)   { i.called("Release") }
func (i *intruder) Warm([]*Member)    { i.called("Warm") }
func (i *intruder) emit(report.Event) { i.called("Emit") }
func (i *intruder) changed()          { i.called("Changed") }
func (i *intruder) present() bool     { i.called("Present"); return true }
func (i *intruder) Check(m *Member) (a report.Availability) {
	i.called("Check")
	i.mu.Lock()
	defer i.mu.Unlock()
	if m.URI.Host == "b" {
		return i.says
	}
	return report.Available
}

func (i *intruder) Enabled(context.Context, slog.Level) bool  { i.called("Enabled"); return true }
func (i *intruder) Handle(context.Context, slog.Record) error { i.called("Handle"); return nil }
func (i *intruder) WithAttrs([]slog.Attr) slog.Handler        { return i }
func (i *intruder) WithGroup(string) slog.Handler             { return i }

// intrusion is an error of the carrier's, with code of its own.
type intrusion struct{ i *intruder }

func (e intrusion) Error() string   { e.i.called("Error"); return "refused" }
func (e intrusion) Is(error) bool   { e.i.called("Is"); return false }
func (e intrusion) Unwrap() error   { e.i.called("Unwrap"); return nil }
func (e intrusion) Timeout() bool   { e.i.called("Timeout"); return false }
func (e intrusion) Temporary() bool { return false }

// TestNoCodeOfTheCarrierUnderTheLock: whatever the pool calls may call it back, in
// every operation, when requests are placed at once and when they wait.
func TestNoCodeOfTheCarrierUnderTheLock(t *testing.T) {
	i := &intruder{t: t, calls: make(map[string]int), more: make(chan struct{}, 1)}
	cfg := Config{Name: "test", URIs: uris(3), Options: address.DefaultOptions(), Carrier: i, Logger: slog.New(i), Emit: i.emit, Changed: i.changed}
	cfg.Options.Randomize, cfg.Options.Backup, cfg.Options.ReconnectJitter = false, true, 0
	cfg.Options.MaxReconnectDelay = 100 * time.Millisecond
	cfg.Dynamic = true
	quiet := 200 * time.Millisecond
	cfg.Options.Nested.MaxInactivityDuration = &quiet
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.p = p })
	p.Start()
	defer p.Close()
	i.await("Ping", 3)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(r *Request) {
		t.Helper()
		r.Checker, r.Present = i, i.present
		_, err := p.Next(t.Context(), r)
		must(err)
	}
	answer := func(r *Request) {
		r.at.Connected()
		r.at.Written()
		r.at.End(report.Answered, nil)
		r.at.Done()
	}

	// Placed at once, lost, and sent again through the machine.
	r := &Request{Safe: true}
	ask(r)
	r.at.Connected()
	r.at.Written()
	r.at.End(report.Lost, intrusion{i})
	ask(r)
	r.at.End(report.DialFailed, intrusion{i})
	ask(r)
	answer(r)

	// One that hangs while others answer pings.
	hung := &Request{}
	ask(hung)
	i.set(func() { i.mute = hung.at.m })
	hung.at.Connected()
	hung.at.Written()
	i.await("Release", 1)
	hung.at.End(report.Hung, intrusion{i})
	i.set(func() { i.mute = nil })

	// All that an operator and the sources of addresses do.
	must(p.Failover(&cfg.URIs[2]))
	must(p.Failback())
	p.Rebalance()
	must(p.Drain(cfg.URIs[0]))
	must(p.Resume(cfg.URIs[0]))
	_, err = p.AddURIs(uris(4)[3:], true)
	must(err)
	_, err = p.RemoveURIs(uris(4)[3:])
	must(err)
	said := membership.New()
	said.Set("list", uris(5)[4:], true, time.Now())
	_, _, err = p.UpdateURIs(said, true)
	must(err)
	_, _, err = p.Discover(uris(6)[5:])
	must(err)
	_ = p.Reconnect(p.Members()[0], cfg.URIs[1])
	must(p.Rebind(cfg))
	must(p.Restore(p.Snapshot()))
	p.Stats()
	p.Said()
	p.Answering()
	p.Unanswering()
	p.Online()
	p.Echo()

	// Waiting: for a backend, while none answers, and for what the carrier says.
	i.set(func() { i.lost = true })
	must(p.do(func(x *machine) error {
		for _, m := range x.members {
			x.fail(m, "dial", report.Told("refused"))
			x.renew(m) // what a ping under way will say counts no more
		}
		return nil
	}))
	i.await("Error", 3)
	waits := make(chan error, 1)
	w := &Request{Safe: true, Checker: i, Present: i.present}
	checks, pings := i.count("Check"), i.count("Ping")
	go func() {
		_, err := p.Next(t.Context(), w)
		waits <- err
	}()
	i.await("Check", checks+2*len(p.All())) // when it came, and again while it waits
	i.await("Present", i.count("Present")+1)
	i.await("Ping", pings+3)
	i.set(func() { i.lost, i.says = false, report.Unhealthy })
	must(<-waits)
	answer(w)
	p.Interrupt()
	p.Close()

	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range []string{
		"Ping", "Release", "Warm", "Emit", "Changed", "Present", "Check", "Enabled", "Handle", "Error", "Is", "Unwrap", "Timeout",
	} {
		if i.calls[name] == 0 {
			t.Errorf("%s was never called: the test shows nothing about it", name)
		}
	}
}

func (i *intruder) count(name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.calls[name]
}

// TestEcho: it returns when the pool's own goroutine has come round, at once where
// there is none, and from a pool that is closed.
func TestEcho(t *testing.T) {
	newStill(t, 3, nil).Echo()
	free := make(chan struct{})
	inBubble(t, 2, func(c *Config) { c.Emit = func(report.Event) { <-free } }, func(b *stage) {
		free = make(chan struct{})
		b.p.Start()
		b.p.Echo()
		if err := b.p.Drain(b.p.Members()[0].URI); err != nil {
			t.Fatal(err)
		}
		heard := false
		go func() {
			b.p.Echo()
			heard = true
		}()
		time.Sleep(time.Minute)
		if heard {
			t.Error("the pool answered while it was held up")
		}
		close(free)
		synctest.Wait()
		if !heard {
			t.Error("the pool did not answer when it was free again")
		}
		b.p.Close()
		b.p.Echo()
	})
}
