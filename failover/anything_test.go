// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// world is a pool whose backends, clients and operator do anything at any time,
// and what has to hold whatever they do.
type world struct {
	*stage
	says  *checks
	calls []*Request // with a member
	left  []*Request // whose attempt failed: they may go on
}

// TestAnything: a chosen backend is always eligible, a request is written to one
// at most once and to three at most, limits are kept, nothing is ever leaked.
func TestAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // a bubble has no deadline
			w := newWorld(t, rt)
			defer w.p.Close()
			rt.Repeat(map[string]func(*rapid.T){
				"request": func(rt *rapid.T) {
					w.next(rt, &Request{
						Key: affinity.KeyOf(strconv.Itoa(rapid.IntRange(0, 20).Draw(rt, "client"))), Keyed: rapid.Bool().Draw(rt, "keyed"),
						Safe: rapid.Bool().Draw(rt, "safe"), Checker: w.says,
					})
				},
				"again": func(rt *rapid.T) {
					if len(w.left) == 0 {
						rt.Skip()
					}
					i := rapid.IntRange(0, len(w.left)-1).Draw(rt, "i")
					r := w.left[i]
					w.left = append(w.left[:i], w.left[i+1:]...)
					w.next(rt, r)
				},
				"connected": func(rt *rapid.T) { w.call(rt).at.Connected() },
				"written": func(rt *rapid.T) {
					r := w.call(rt)
					r.at.Connected()
					r.at.Written()
				},
				"end": w.end,
				"done too early": func(rt *rapid.T) {
					if r := w.call(rt); r.at.phase != phaseAnswering {
						r.at.Done()
					}
				},
				"sleep": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(rt, "ms")) * time.Millisecond)
				},
				"backend": func(rt *rapid.T) { w.backend(rt) },
				"operator": func(rt *rapid.T) {
					w.operate(rt)
				},
				"": func(rt *rapid.T) { w.invariants(rt) },
			})
			for _, r := range w.calls {
				r.at.End(report.Neutral, nil)
				r.at.Done()
			}
			if err := w.leaks(); err != nil {
				rt.Fatal(err)
			}
		})
	})
}

func newWorld(t *testing.T, rt *rapid.T) *world {
	w := &world{stage: newStage(t), says: new(checks)}
	o := address.DefaultOptions()
	o.ReconnectJitter = 0
	o.Randomize = rapid.Bool().Draw(rt, "randomize")
	o.PriorityBackup = rapid.Bool().Draw(rt, "priority")
	o.Affinity.Kind = address.AffinityKind(rapid.IntRange(0, int(address.AffinityPool)).Draw(rt, "affinity"))
	o.MaxReconnectAttempts = rapid.SampledFrom([]int{-1, -1, 0, 2}).Draw(rt, "attempts")
	o.Backup = rapid.Bool().Draw(rt, "backup")
	most, quiet := rapid.IntRange(0, 5).Draw(rt, "max"), rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(rt, "inactivity")
	o.Nested.MaxRequests, o.Nested.MaxInactivityDuration = &most, &quiet
	p, err := New(Config{Name: "world", URIs: uris(rapid.IntRange(1, 5).Draw(rt, "n")), Options: o, Carrier: w})
	if err != nil {
		rt.Fatal(err)
	}
	w.p = p
	p.Start()
	synctest.Wait()
	return w
}

// next asks for a member without waiting.
func (w *world) next(rt *rapid.T, r *Request) {
	r.Deadline = time.Now()
	m, err := w.ask(w.t.Context(), r)
	if err != nil {
		if _, ok := errors.AsType[*report.UnavailableError](err); !ok {
			rt.Fatalf("got error %v", err)
		}
		return
	}
	w.calls = append(w.calls, r)
	w.p.do(func(x *machine) error {
		switch {
		case m.drained || m.unproved || x.find(m.URI) != m:
			rt.Fatalf("%s is drained or not in the list", m.Name)
		case m.state == stateDown:
			rt.Fatalf("%s is down", m.Name)
		case w.says.of(m.URI.Host) != report.Available && r.reused != m:
			rt.Fatalf("%s is %v for the carrier", m.Name, w.says.of(m.URI.Host))
		case r.wroteTo(m) && r.reused != m:
			rt.Fatalf("the request was written to %s before", m.Name)
		}
		return nil
	})
}

func (w *world) call(rt *rapid.T) *Request {
	if len(w.calls) == 0 {
		rt.Skip()
	}
	return w.calls[rapid.IntRange(0, len(w.calls)-1).Draw(rt, "call")]
}

func (w *world) end(rt *rapid.T) {
	r := w.call(rt)
	for i, c := range w.calls {
		if c == r {
			w.calls = append(w.calls[:i], w.calls[i+1:]...)
		}
	}
	if r.at.phase == phaseAnswering {
		r.at.Done()
		return
	}
	o := report.Outcome(rapid.IntRange(0, int(report.Neutral)).Draw(rt, "outcome"))
	r.at.End(o, errReset)
	if o == report.Answered {
		if rapid.Bool().Draw(rt, "streams") {
			w.calls = append(w.calls, r)
		} else {
			r.at.Done()
		}
		return
	}
	w.left = append(w.left, r)
}

func (w *world) backend(rt *rapid.T) {
	host := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "host")
	what := rapid.IntRange(0, 5).Draw(rt, "what")
	w.set(func() {
		switch what {
		case 0, 1:
			w.down[host] = what == 0
		case 2:
			w.hangs[host], w.mute[host] = !w.hangs[host], w.mute[host] != w.hangs[host]
		case 3:
			w.status[host] = rapid.SampledFrom([]int{200, 503}).Draw(rt, "status")
		}
	})
	if what >= 4 {
		w.p.do(func(*machine) error {
			w.says.set(host, report.Availability(rapid.IntRange(0, int(report.Foreign)).Draw(rt, "says")))
			return nil
		})
	}
}

func (w *world) operate(rt *rapid.T) {
	u := rapid.SampledFrom(uris(6)).Draw(rt, "uri")
	switch rapid.IntRange(0, 8).Draw(rt, "operation") {
	case 0:
		w.p.Drain(u)
	case 1, 2:
		w.p.Resume(u)
	case 3:
		w.p.Failover(&u)
	case 4:
		w.p.Failover(nil)
	case 5:
		w.p.Failback()
	case 6:
		w.p.AddURIs([]address.URI{u}, true)
	case 7:
		w.p.RemoveURIs([]address.URI{u})
	case 8:
		s := w.p.Snapshot()
		if err := w.p.Restore(s); err != nil {
			rt.Fatal(err)
		}
	}
}

func (w *world) invariants(rt *rapid.T) {
	synctest.Wait()
	w.p.do(func(x *machine) error {
		if n := w.p.inProgress.Load(); n != int64(len(w.calls)) {
			rt.Fatalf("%d in progress, %d calls", n, len(w.calls))
		}
		if len(x.members) == 0 || x.queue.len() != 0 {
			rt.Fatalf("%d members, %d wait", len(x.members), x.queue.len())
		}
		for i, m := range x.view.members {
			switch limit := m.Limits().MaxRequests; {
			case x.view.find(m) != i:
				rt.Fatalf("%s is not found in the view", m.Name)
			case limit > 0 && m.inProgress.Load() > int64(limit):
				rt.Fatalf("%s has %d requests of %d", m.Name, m.inProgress.Load(), limit)
			case m.gate.Used < 0 || m.gate.Used > m.gate.Width:
				rt.Fatalf("%s has %d in a gate of %d", m.Name, m.gate.Used, m.gate.Width)
			case m.pings < 0 || m.dialing() < 0:
				rt.Fatalf("%s has %d pings and %d dials", m.Name, m.pings, m.dialing())
			}
		}
		for _, r := range append(w.left, w.calls...) {
			if r.writes > MaxWrites+1 || r.writes > MaxWrites && r.reused == nil {
				rt.Fatalf("written %d times, to %v", r.writes, r.to)
			}
		}
		return nil
	})
}
