// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// say makes a source of the pool say that, and returns what came and went.
func (b *stage) say(s *membership.Membership, source string, trusted bool, hosts ...string) (added, removed int) {
	b.t.Helper()
	var list []address.URI
	for _, h := range hosts {
		list = append(list, address.URI{Scheme: "http", Host: h, Port: "80"})
	}
	s.Set(source, list, trusted, time.Now())
	added, removed, err := b.p.UpdateURIs(s, false)
	if err != nil {
		b.t.Fatal(err)
	}
	return added, removed
}

func (b *stage) hosts() (list []string) {
	for _, u := range b.p.Status().Upstreams {
		list = append(list, u.URI[len("http://"):len(u.URI)-len(":80")])
	}
	return list
}

// Pushes are additive: configured addresses and the operator's own stay, whatever
// a source says, and so does the last address.
func TestUpdateURIs(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		s := membership.New()
		if added, _ := b.say(s, "list", false, "a", "x", "y"); added != 2 {
			t.Errorf("%d added, want 2", added)
		}
		synctest.Wait()
		if got := b.hosts(); !slices.Equal(got, []string{"a", "b", "x", "y"}) {
			t.Errorf("members %v", got)
		}
		if _, err := b.p.AddURIs([]address.URI{{Scheme: "http", Host: "y", Port: "80"}, {Scheme: "http", Host: "z", Port: "80"}}, false); err != nil {
			t.Fatal(err)
		}
		if _, removed := b.say(s, "list", false, "q"); removed != 1 {
			t.Errorf("%d removed, want x alone: a is configured, y and z are the operator's", removed)
		}
		synctest.Wait()
		if got := b.hosts(); !slices.Equal(got, []string{"a", "b", "y", "z", "q"}) {
			t.Errorf("members %v", got)
		}
		for _, m := range b.p.Members() {
			if want := m.URI.Host == "q"; m.Restricted() != want {
				t.Errorf("%s restricted: %t", m.Name, m.Restricted())
			}
		}
		if b.say(s, "file", true, "q"); b.p.Members()[4].Restricted() {
			t.Error("the operator's own list names q, and it is still restricted")
		}
		b.say(s, "file", true, "r")
		if !b.p.Members()[4].Restricted() {
			t.Error("q is not restricted, and only the other list names it")
		}
	})
}

// What the operator removed stays away, and is not brought back by a source.
func TestRemovedStaysAway(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		s := membership.New()
		b.say(s, "list", false, "x", "y")
		if _, err := b.p.RemoveURIs([]address.URI{{Scheme: "http", Host: "x", Port: "80"}}); err != nil {
			t.Fatal(err)
		}
		b.say(s, "list", false, "x", "y", "z")
		synctest.Wait()
		if got := b.hosts(); !slices.Equal(got, []string{"a", "y", "z"}) {
			t.Errorf("members %v", got)
		}
	})
}

func TestLastIsNotUnlisted(t *testing.T) {
	inBubble(t, 0, nil, func(b *stage) {
		b.p.Start()
		s := membership.New()
		b.say(s, "list", false, "x", "y")
		synctest.Wait()
		s.Drop("list")
		if _, removed, err := b.p.UpdateURIs(s, false); err != nil || removed != 1 {
			t.Errorf("%d removed (%v), want one of two", removed, err)
		}
		if n := len(b.p.Status().Upstreams); n != 1 {
			t.Errorf("%d members are left", n)
		}
	})
}

// A new process goes on with what sources said to the one before.
func TestSourcesSurvive(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		s := membership.New()
		b.say(s, "file", true, "f")
		b.downAll("down")
		b.say(s, "list", false, "x", "down")
		synctest.Wait()
		p, err := New(b.p.cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Restore(b.p.Snapshot()); err != nil {
			t.Fatal(err)
		}
		var usable []string
		for _, m := range p.Members() {
			usable = append(usable, fmt.Sprint(m.URI.Host, m.Restricted()))
		}
		if want := []string{"afalse", "ffalse", "xtrue"}; !slices.Equal(usable, want) {
			t.Errorf("members %v, want %v: one that never answered is not eligible", usable, want)
		}
		said := p.Said()
		if got := said.List("list"); len(got) != 2 || len(said.List("file")) != 1 {
			t.Errorf("sources say %v", said.Named())
		}
		said.Drop("list")
		if _, removed, err := p.UpdateURIs(said, false); err != nil || removed != 2 {
			t.Errorf("%d removed (%v), want 2", removed, err)
		}
	})
}

// What a backend says of itself does not keep it in the pool, and what one that is
// gone said of others is confirmedFor once, and only while no other source says it.
func TestBackendThatLeft(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		s := membership.New()
		b.say(s, "http://a:80", false, "a", "x", "y")
		b.say(s, "http://x:80", false, "x", "a", "y")
		b.say(s, "http://y:80", false, "y", "z", "a")
		synctest.Wait()
		expect := func(sources []string, hosts ...string) {
			t.Helper()
			s.Settle(func(name string) bool { return slices.Contains(b.hosts(), name[len("http://"):len(name)-len(":80")]) })
			if got := b.hosts(); !slices.Equal(got, hosts) {
				t.Errorf("members %v, want %v", got, hosts)
			}
			if got := s.Sources(); !slices.Equal(got, sources) {
				t.Errorf("sources %v, want %v", got, sources)
			}
		}
		expect([]string{"http://a:80", "http://x:80", "http://y:80"}, "a", "x", "y", "z")
		b.say(s, "http://a:80", false, "a", "y")
		expect([]string{"http://a:80", "http://y:80"}, "a", "y", "z")
		b.say(s, "http://a:80", false, "a")
		expect([]string{"http://a:80", "http://y:80"}, "a", "z") // z is not lost with y
		b.say(s, "http://z:80", false, "z", "a")
		expect([]string{"http://a:80", "http://y:80", "http://z:80"}, "a", "z")
		b.say(s, "http://a:80", false, "a", "z")
		expect([]string{"http://a:80", "http://z:80"}, "a", "z")
	})
}

func TestTooManyAddresses(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		s := membership.New()
		for n, source := range []string{"one", "two"} {
			var list []address.URI
			for i := range address.MaxListAddresses {
				list = append(list, address.URI{Scheme: "http", Host: fmt.Sprintf("10.%d.%d.%d", n, i/250, i%250), Port: "80"})
			}
			s.Set(source, list, false, time.Now())
		}
		if added, _, err := b.p.UpdateURIs(s, false); !errors.Is(err, ErrTooMany) || added != 0 {
			t.Errorf("%d added, error %v", added, err)
		}
	})
}

// A long list must not flood the network: first pings are spaced.
func TestLongListIsPingedSlowly(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		s := membership.New()
		var hosts []string
		for i := range 500 {
			hosts = append(hosts, fmt.Sprintf("h%d", i))
		}
		b.say(s, "list", false, hosts...)
		time.Sleep(time.Second)
		b.mu.Lock()
		early := len(b.pings)
		b.mu.Unlock()
		if early > 150 {
			t.Errorf("%d pings in the first second", early)
		}
		time.Sleep(10 * time.Second)
		if n := len(b.p.Members()); n != 501 {
			t.Errorf("%d members are eligible in the end", n)
		}
	})
}

// A backend that asks for it gets rid of its clients, and of them alone; they
// come back when they are called.
func TestReconnect(t *testing.T) {
	inBubble(t, 3, func(c *Config) { c.Options.Randomize = true }, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		homes := func() map[uint64]string {
			at := make(map[uint64]string)
			for key := range uint64(300) {
				m, err := b.send(&Request{Key: affinity.KeyOf(fmt.Sprint(key)), Keyed: true, Safe: true})
				if err != nil {
					t.Fatal(err)
				}
				at[key] = m.URI.Host
			}
			return at
		}
		before := homes()
		a, c := b.p.Members()[0], b.p.Members()[2]
		if err := b.p.Reconnect(a, c.URI); err != nil {
			t.Fatal(err)
		}
		for key, at := range homes() {
			want := before[key]
			if want == "a" {
				want = "c"
			}
			if at != want {
				t.Fatalf("client %d went from %s to %s", key, before[key], at)
			}
		}
		b.downAll("c")
		for _, at := range homes() {
			if at == "c" {
				t.Fatal("a client is still on c")
			}
		}
		b.up("c")
		time.Sleep(3 * time.Second)
		b.p.Rebalance()
		time.Sleep(3 * time.Second)
		homes()
		for key, at := range homes() {
			if at != before[key] {
				t.Fatalf("after rebalance client %d is on %s instead of %s", key, at, before[key])
			}
		}
		if err := b.p.Reconnect(a, address.URI{Scheme: "http", Host: "elsewhere", Port: "80"}); err == nil {
			t.Error("a may send its clients to a stranger")
		}
	})
}

func TestReconnectOfOnePool(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		if err := b.p.Reconnect(b.p.Members()[0], uris(2)[1]); err != nil {
			t.Fatal(err)
		}
		b.expect("b")
		b.expect("b")
		if err := b.p.Failback(); err != nil {
			t.Fatal(err)
		}
		b.expect("a")
	})
}

// A priority backend is where the operator wants the clients, whatever it says, and
// nothing of what it said is remembered.
func TestReconnectOfAPriorityBackendIsIgnored(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.p.Start()
		b.expect("a")
		a := b.p.Members()[0]
		if err := b.p.Reconnect(a, uris(2)[1]); err == nil {
			t.Error("it was obeyed without an error")
		}
		b.expect("a")
		cfg := b.p.cfg
		cfg.Options.PriorityBackup = false
		if err := b.p.Rebind(cfg); err != nil {
			t.Fatal(err)
		}
		b.expect("a")
		if err := b.p.Reconnect(a, uris(2)[1]); err != nil {
			t.Fatal(err)
		}
		b.expect("b")
	})
}

// A backend that becomes the priority one has no say any more.
func TestReconnectEndsWithPriority(t *testing.T) {
	inBubble(t, 2, random, func(b *stage) {
		b.p.Start()
		synctest.Wait()
		if err := b.p.Reconnect(b.p.Members()[0], uris(2)[1]); err != nil {
			t.Fatal(err)
		}
		cfg := b.p.cfg
		cfg.Options.PriorityBackup = true
		if err := b.p.Rebind(cfg); err != nil {
			t.Fatal(err)
		}
		for i, host := range b.round(20, nil) {
			if host != "a" {
				t.Fatalf("client %d is on %s", i, host)
			}
		}
	})
}

// Whoever asks its clients to move to itself keeps them, and has those back that it
// had sent away.
func TestReconnectToItself(t *testing.T) {
	inBubble(t, 3, random, func(b *stage) {
		b.p.Start()
		own := b.round(60, nil)
		a := b.p.Members()[0]
		for range 2 {
			if err := b.p.Reconnect(a, a.URI); err != nil {
				t.Fatal(err)
			}
			for i, host := range b.round(60, nil) {
				if host != own[i] {
					t.Fatalf("client %d went from %s to %s", i, own[i], host)
				}
			}
			if err := b.p.Reconnect(a, uris(3)[2]); err != nil {
				t.Fatal(err)
			}
			for i, host := range b.round(60, nil) {
				if host == "a" {
					t.Fatalf("client %d is on a", i)
				}
			}
			if err := b.p.Reconnect(a, a.URI); err != nil {
				t.Fatal(err)
			}
		}
	})
}
