// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// closes makes a backend end every request of some clients, and answer the others and the pings.
func (b *stage) closes(host string, clients ...uint32) {
	b.set(func() {
		b.closesOn[host] = map[uint32]bool{}
		for _, c := range clients {
			b.closesOn[host][c] = true
		}
	})
}

// Whatever one client does, and how often: who else comes is served where it was.
func TestOneClientsLossesSayNothing(t *testing.T) {
	for name, attack := range map[string]Request{
		"safe":                {Safe: true, Client: 1},
		"unsafe":              {Client: 1},
		"with a body":         {Client: 1, Unread: true},
		"of unknown client":   {Safe: true},
		"unsafe, not known":   {},
		"on a shared channel": {Client: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, nil, func(b *stage) {
				b.p.Start()
				b.expect("a")
				b.closes("a", attack.Client)
				b.closes("b", attack.Client)
				for range 1000 {
					r := attack
					if m, err := b.send(&r); err == nil {
						t.Fatalf("the attack was answered by %s", m.Name)
					}
					m, err := b.send(&Request{Safe: true, Client: 2})
					if err != nil || m.URI.Host != "a" {
						t.Fatalf("got %v, error %v", m, err)
					}
					time.Sleep(6 * time.Millisecond)
				}
				if n := b.told("failover_interrupted"); n > 0 || b.state("a") != "up" {
					t.Errorf("told %d times of a loss, a is %s", n, b.state("a"))
				}
				if n := len(b.passes("a")); n > 70 {
					t.Errorf("%d pings in six seconds", n)
				}
			})
		})
	}
}

// A backend that answers pings and no client is found out when it is not one client alone.
func TestLossesOfSeveralClientsPutAMemberDown(t *testing.T) {
	for name, safe := range map[string]bool{"safe": true, "unsafe": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, nil, func(b *stage) {
				b.p.Start()
				b.expect("a")
				b.closes("a", 1, 2, 3, 4, 5, 6)
				lost := 0
				for i := range 600 {
					r := &Request{Safe: safe, Client: uint32(1 + i%6)}
					if safe {
						if _, err := b.send(r); err != nil {
							t.Fatal(err)
						}
					} else if m, _ := b.ask(b.t.Context(), r); m.URI.Host == "a" {
						b.lost(r)
						lost++
					} else {
						r.at.End(report.Answered, nil)
						r.at.Done()
					}
					time.Sleep(100 * time.Millisecond)
				}
				switch {
				case safe && lost > 0, !safe && lost != 4:
					t.Errorf("%d requests were lost in a minute", lost)
				case b.told("failover_interrupted") != 1:
					t.Errorf("told %d times", b.told("failover_interrupted"))
				}
			})
		})
	}
}

// Behind a proxy that is not known as one all clients look the same. Then it takes
// long, and no answer at all.
func TestOneClientAloneIsFoundOutLater(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.closes("a", 1)
		lost := 0
		for range 600 {
			r := &Request{Client: 1}
			if b.pick(r) == "a" {
				b.lost(r)
				lost++
			} else {
				r.at.End(report.Answered, nil)
				r.at.Done()
			}
			time.Sleep(100 * time.Millisecond)
		}
		if lost != 301 || b.state("a") == "up" {
			t.Errorf("%d were lost, and a is %s", lost, b.state("a"))
		}
	})
}

// The last member that serves is not taken away for it: requests would only wait.
func TestTheLastMemberIsKeptWhateverItLoses(t *testing.T) {
	inBubble(t, 1, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.closes("a", 1, 2)
		for i := range 100 {
			if why, took := b.reason(&Request{Client: uint32(1 + i%2)}); why != report.ReasonSpent || took > 0 {
				t.Fatalf("%q after %v", why, took)
			}
			time.Sleep(50 * time.Millisecond)
		}
		b.expect("a")
	})
}

// One connection with the requests of many clients is lost with all of them, and it
// may have been any of them that did it.
func TestASharedConnectionIsNoWitness(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		for range 20 {
			for client := range uint32(5) {
				r := &Request{Client: client + 1}
				if got := b.pick(r); got != "a" {
					t.Fatalf("got %s", got)
				}
				r.at.Shared = true
				b.lost(r)
				synctest.Wait()
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := b.told("failover_interrupted"); n > 0 {
			t.Errorf("told %d times of a loss", n)
		}
	})
}

func TestAResetStreamSaysNothing(t *testing.T) {
	inBubble(t, 3, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		synctest.Wait()
		pings := len(b.passes("a"))
		for client := range uint32(100) {
			r := &Request{Safe: true, Client: client + 1}
			for _, want := range []string{"a", "b"} { // it is sent on, and not to a third
				if got := b.pick(r); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				r.at.Connected()
				r.at.Written()
				r.at.End(report.StreamReset, errReset)
			}
			if why, took := b.reason(r); why != report.ReasonSpent || took > 0 {
				t.Fatalf("%q after %v", why, took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		b.expect("a")
		if n := len(b.passes("a")); n != pings {
			t.Errorf("%d pings for streams whose connection lives", n-pings)
		}
		b.empty()
	})
}

// Until its ping is answered only safe requests go to a member that lost one.
func TestASuspectGetsSafeRequestsOnly(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		time.Sleep(trust)
		b.set(func() { b.hangs["a"] = true })
		r := &Request{}
		b.pick(r)
		b.lost(r)
		synctest.Wait()
		if s := b.state("a"); s != "suspect" {
			t.Fatalf("it is %s", s)
		}
		for _, c := range []struct {
			safe bool
			want string
		}{{false, "b"}, {true, "a"}, {false, "a"}} {
			if m, err := b.send(&Request{Safe: c.safe}); err != nil || m.URI.Host != c.want {
				t.Errorf("safe %t: got %v, error %v, want %s", c.safe, m, err, c.want)
			}
		}
		// An answer ends it, or the ping when it has had its time: it may be busy.
		if s := b.state("a"); s != "up" {
			t.Errorf("after an answer it is %s", s)
		}
	})
}

// A request that two lost which live is not tried on the third; if one of them
// died it is.
func TestARequestLostByTwo(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *stage)
		want   int
		took   time.Duration
	}{
		"both live":     {func(*stage) {}, 2, 0},
		"one died":      {func(b *stage) { b.down["a"] = true }, 3, 0},
		"both died":     {func(b *stage) { b.down["a"], b.down["b"] = true, true }, 3, 0},
		"one is mute":   {func(b *stage) { b.hangs["b"] = true }, 3, 3 * time.Second},
		"all but three": {func(b *stage) { b.down["a"], b.down["b"], b.down["c"] = true, true, true }, 3, 0},
		"both are mute": {func(b *stage) { b.hangs["a"], b.hangs["b"] = true, true }, 3, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 5, nil, func(b *stage) {
				b.p.Start()
				synctest.Wait()
				b.set(func() { test.change(b) })
				r, start, n := &Request{Safe: true, Client: 1}, time.Now(), 0
				for {
					if _, err := b.ask(b.t.Context(), r); err != nil {
						break
					}
					n++
					b.lost(r)
				}
				if took := time.Since(start); n != test.want || took != test.took {
					t.Errorf("written to %d members in %v, want %d in %v", n, took, test.want, test.took)
				}
				b.empty()
			})
		})
	}
}

// What is lost before anything was written may go to the same member once more, and
// then to the next one: never round and round.
func TestALossBeforeAnythingWasWritten(t *testing.T) {
	for name, test := range map[string]struct {
		lost []string // before it is answered
		want []string
		dead bool
	}{
		"everywhere":          {[]string{"a", "a", "b", "b"}, []string{"a", "a", "b"}, false},
		"by one":              {[]string{"a", "a"}, []string{"a", "a", "b"}, false},
		"by one, once":        {[]string{"a"}, []string{"a", "a"}, false},
		"by one that is dead": {[]string{"a"}, []string{"a", "b"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 3, nil, func(b *stage) {
				b.p.Start()
				synctest.Wait()
				if test.dead {
					b.downAll("a")
				}
				r, lost := &Request{Client: 1}, test.lost
				var got []string
				for {
					m, err := b.ask(b.t.Context(), r)
					if err != nil {
						break
					}
					got = append(got, m.URI.Host)
					if len(lost) == 0 || lost[0] != m.URI.Host {
						r.at.End(report.Answered, nil)
						r.at.Done()
						break
					}
					lost = lost[1:]
					r.at.End(report.Lost, errReset)
					synctest.Wait()
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("went to %v, want %v", got, test.want)
				}
				b.empty()
			})
		})
	}
}
