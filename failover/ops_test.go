// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

func TestManualFailover(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		must := func(err error) {
			b.t.Helper()
			if err != nil {
				b.t.Fatal(err)
			}
		}
		must(b.p.Failover(nil)) // to the next in the order
		b.expect("b")
		must(b.p.Failover(nil))
		b.expect("c")
		must(b.p.Failover(nil)) // and around
		b.expect("a")
		must(b.p.Failover(&uris(3)[2]))
		b.expect("c")
		time.Sleep(time.Hour)
		b.expect("c") // holds
		must(b.p.Failback())
		b.expect("a")
		must(b.p.Failover(&uris(3)[2]))
		b.downAll("c") // or until its target breaks
		b.expect("a")
		b.up("c")
		time.Sleep(time.Hour)
		b.expect("a")
	})
}

// Status tells where a manual failover sends the clients, and no more once it is
// over.
func TestManualFailoverShows(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		b.expect("a")
		shows := func(what, want string) {
			b.t.Helper()
			got := ""
			for _, u := range b.p.Status().Upstreams {
				if u.Manual {
					got += u.URI
				}
			}
			if got != want {
				b.t.Errorf("%s: it shows %q, want %q", what, got, want)
			}
		}
		move := func(to int) {
			b.t.Helper()
			if err := b.p.Failover(&uris(3)[to]); err != nil {
				b.t.Fatal(err)
			}
		}
		shows("at first", "")
		move(1)
		shows("moved", uris(3)[1].Name())
		move(2)
		shows("moved on", uris(3)[2].Name())
		if err := b.p.Failback(); err != nil {
			b.t.Fatal(err)
		}
		shows("after failback", "")
		move(2)
		b.downAll("c")
		b.expect("a")
		shows("after its target broke", "")
		b.up("c")
		time.Sleep(time.Minute)
		shows("when that is back", "")
		move(1)
		if err := b.p.Drain(uris(3)[1]); err != nil {
			b.t.Fatal(err)
		}
		shows("after its target was drained", "")
	})
}

func TestManualFailoverMovesAllClients(t *testing.T) {
	inBubble(t, 4, func(c *Config) { random(c); priority(c) }, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		if err := b.p.Failover(&uris(4)[3]); err != nil {
			t.Fatal(err)
		}
		for i, host := range b.round(50, nil) {
			if host != "d" {
				t.Errorf("client %d is on %s", i, host)
			}
		}
		if n := b.p.moves.Len(); n != 0 {
			t.Errorf("%d exceptions are stored", n)
		}
		if err := b.p.Failback(); err != nil {
			t.Fatal(err)
		}
		for i, host := range b.round(50, nil) {
			if host != "a" {
				t.Errorf("client %d is on %s", i, host)
			}
		}
	})
}

// Whoever fails back by hand does not wait for the proof.
func TestFailbackByHandDoesNotWait(t *testing.T) {
	inBubble(t, 2, func(c *Config) { priority(c); c.Options.FailbackDelay = time.Hour }, func(b *stage) {
		b.awayFromHome()
		b.up("a")
		time.Sleep(5 * time.Second)
		b.expect("b")
		if err := b.p.Failback(); err != nil {
			t.Fatal(err)
		}
		b.expect("a")
	})
}

func TestFailoverNeedsATarget(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		var unknown *UnknownError
		u := address.URI{Scheme: "http", Host: "z", Port: "80"}
		for name, err := range map[string]error{
			"failover": b.p.Failover(&u), "drain": b.p.Drain(u), "resume": b.p.Resume(u),
		} {
			if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "http://a:80, http://b:80") {
				t.Errorf("%s: got %v", name, err)
			}
		}
		b.p.Drain(uris(2)[1])
		if err := b.p.Failover(&uris(2)[1]); err == nil || !strings.Contains(err.Error(), "drained") {
			t.Errorf("to a drained one: %v", err)
		}
		if err := b.p.Failover(nil); err == nil {
			t.Error("to nobody: no error")
		}
		b.expect("a")
		if err := b.p.Drain(address.URI{Host: "a", Port: "80"}); err != nil { // by its dial address
			t.Error(err)
		}
	})
}

func TestDrainLetsGoOnWhatIsInProgress(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		r := b.stuck("a")
		if err := b.p.Drain(uris(2)[0]); err != nil {
			t.Fatal(err)
		}
		b.expect("b")
		time.Sleep(time.Minute)
		if got := b.released(); len(got) > 0 {
			t.Errorf("released %v", got)
		}
		r.at.End(report.Answered, nil)
		r.at.Done()
		pings := len(b.passes("a"))
		b.downAll("a")
		if err := b.p.Resume(uris(2)[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(b.passes("a")) != pings+1 {
			t.Error("it was not pinged at once")
		}
		if s := b.state("a"); s != "down" {
			t.Errorf("it is %s, and does not answer", s)
		}
		b.empty()
	})
}

func TestMembershipAtRunTime(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("c")
		if n, err := b.p.AddURIs(append(uris(3)[2:], uris(1)...), false); n != 1 || err != nil {
			t.Fatalf("added %d, error %v", n, err)
		}
		b.downAll("a", "b")
		if why, _ := b.reason(&Request{Deadline: time.Now().Add(3 * time.Second)}); why != report.ReasonTimeout {
			t.Fatalf("an address that never answered was used: %v", why)
		}
		b.up("c")
		b.expect("c") // from its first answered ping on
		if _, err := b.p.AddURIs([]address.URI{{Scheme: "https", Host: "d", Port: "443"}}, false); err == nil {
			t.Error("another scheme was accepted")
		}
		r := b.stuck("c")
		if n, err := b.p.RemoveURIs(uris(3)[1:]); n != 2 || err != nil {
			t.Fatalf("removed %d, error %v", n, err)
		}
		r.at.End(report.Answered, nil) // its request goes on
		r.at.Done()
		if n, err := b.p.RemoveURIs(uris(1)); n != 0 || !errors.Is(err, ErrLast) {
			t.Errorf("the last address: removed %d, error %v", n, err)
		}
		if n := b.told("failover_membership"); n != 3 {
			t.Errorf("%d events, want one per change", n)
		}
		b.up("a")
		b.expect("a")
		if n := len(b.p.Members()); n != 1 {
			t.Errorf("%d members", n)
		}
	})
}

// Drain drains one more member.
func (p *Pool) Drain(u address.URI) error { return p.drainOne(u, true) }

// Resume ends the drain of one member.
func (p *Pool) Resume(u address.URI) error { return p.drainOne(u, false) }

func (p *Pool) drainOne(u address.URI, drained bool) error {
	m, err := p.Find(u)
	if err != nil {
		return err
	}
	by := make(map[string]string)
	for _, o := range p.Status().Upstreams {
		if o.URI == m.Name && drained || o.URI != m.Name && o.State == "drained" {
			by[o.URI] = "alice"
		}
	}
	p.SetDrained(by)
	return nil
}
