// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

func TestAllDrainedIsSaid(t *testing.T) {
	for name, limit := range map[string]int{"no limit": -1, "no failover": 0} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, func(c *Config) { c.Options.MaxReconnectAttempts = limit }, func(b *stage) {
				b.p.Start()
				b.expect("a")
				b.p.SetDrained(map[string]string{"http://a:80": "alice", "http://b:80": "alice"})
				time.Sleep(time.Second)
				if s := b.p.Status(); s.State != "all drained" || s.NextAttempt != nil {
					t.Errorf("the pool is %s, next attempt %v", s.State, s.NextAttempt)
				}
				_, err := b.send(&Request{Safe: true})
				var none *report.UnavailableError
				if !errors.As(err, &none) || none.Reason != report.ReasonDrained || !strings.Contains(err.Error(), "all drained") {
					t.Errorf("got error %v", err)
				}
				b.p.SetDrained(map[string]string{"http://a:80": "alice"})
				synctest.Wait()
				if s := b.p.Status().State; s != "connected" {
					t.Errorf("after a resume the pool is %s", s)
				}
				b.expect("b")
			})
		})
	}
}

// A backend that the operator puts back is up with its first answered ping, without
// a request that proves it, and without the errors of the time before.
func TestResumedIsUpWithItsPing(t *testing.T) {
	status := func(b *stage, host string) (u report.UpstreamStatus) {
		for _, u = range b.p.Status().Upstreams {
			if u.URI == "http://"+host+":80" {
				return u
			}
		}
		b.t.Fatalf("%s is not shown", host)
		return u
	}
	for name, change := range map[string]func(*Config){"ordered": nil, "priority": priority} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, change, func(b *stage) {
				b.p.Start()
				b.expect("a")
				b.downAll("a")
				b.expect("b")
				if u := status(b, "a"); u.LastError != errRefused.Error() {
					t.Errorf("a: %+v", u)
				}
				if err := b.p.Drain(uris(1)[0]); err != nil {
					t.Fatal(err)
				}
				if u := status(b, "a"); u.State != "drained" || u.LastError != "" {
					t.Errorf("drained: %+v", u)
				}
				if err := b.p.Resume(uris(1)[0]); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if u := status(b, "a"); u.State != "down" || u.LastError != errRefused.Error() {
					t.Errorf("it does not answer yet: %+v", u)
				}
				b.up("a")
				time.Sleep(5 * time.Second)
				if u := status(b, "a"); u.State != "up" || u.LastError != "" {
					t.Errorf("it answers: %+v", u)
				}
				want := map[string]string{"priority": "a"}[name]
				if m, err := b.send(&Request{}); err != nil || want != "" && m.URI.Host != want {
					t.Errorf("an unsafe request went to %v, error %v", m, err)
				}
				// The word of the operator is for once.
				b.downAll("a")
				b.p.do(func(x *machine) error { x.fail(x.members[0], "dial", report.Told("refused")); return nil })
				b.up("a")
				time.Sleep(5 * time.Second)
				if u := status(b, "a"); u.State != "trial" {
					t.Errorf("lost later, and back: %+v", u)
				}
			})
		})
	}
}

// A priority backend that is put back has to answer for failback_delay all the same.
func TestResumedPriorityIsHomeAfterItsDelay(t *testing.T) {
	inBubble(t, 2, priority, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.p.SetDrained(map[string]string{"http://a:80": "alice"})
		b.expect("b")
		b.set(func() { b.status["a"] = 503 })
		b.p.SetDrained(nil)
		time.Sleep(10 * time.Second)
		b.expect("b")
		b.set(func() { b.status["a"] = 200 })
		time.Sleep(5 * time.Second)
		if s := b.state("a"); s != "up" {
			t.Errorf("a is %s", s)
		}
		b.expect("a")
	})
}

// An error that is over is not the reason of what fails later.
func TestOldErrorsGo(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		b.expect("a")
		b.downAll("a", "b")
		if why, _ := b.reason(&Request{Safe: true, Deadline: time.Now().Add(time.Second)}); why != report.ReasonTimeout {
			t.Fatalf("%q", why)
		}
		b.up("a")
		b.expect("a")
		last := func() error {
			return b.p.unavailable(report.ReasonTimeout).Last
		}
		if err := last(); !errors.Is(err, errRefused) {
			t.Errorf("b is down, and the last error is %v", err)
		}
		b.up("b")
		time.Sleep(5 * time.Second)
		b.p.Failover(&uris(2)[1])
		b.expect("b")
		if err := last(); err != nil {
			t.Errorf("all are up, and the last error is %v", err)
		}
	})
}

// What leaves the list is shown as long as it serves requests.
func TestWhatLeftIsShownWhileItServes(t *testing.T) {
	inBubble(t, 2, nil, func(b *stage) {
		b.p.Start()
		r := &Request{}
		if got := b.pick(r); got != "a" {
			t.Fatalf("got %s", got)
		}
		shown := func() (list []string, requests int64) {
			for _, u := range b.p.Status().Upstreams {
				list, requests = append(list, u.URI+" "+u.State), requests+u.Requests
			}
			return list, requests
		}
		if _, err := b.p.RemoveURIs(uris(1)); err != nil {
			t.Fatal(err)
		}
		if list, n := shown(); len(list) != 2 || list[1] != "http://a:80 removed" || n != 1 {
			t.Errorf("removed: %v, %d requests", list, n)
		}
		if _, err := b.p.AddURIs(uris(1), false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if list, n := shown(); len(list) != 2 || list[1] != "http://a:80 up" || n != 1 {
			t.Errorf("put back: %v, %d requests", list, n)
		}
		if _, err := b.p.RemoveURIs(uris(1)); err != nil {
			t.Fatal(err)
		}
		r.at.Connected()
		r.at.End(report.Answered, nil)
		r.at.Done()
		if list, n := shown(); len(list) != 1 || n != 0 {
			t.Errorf("when it is done: %v, %d requests", list, n)
		}
	})
}
