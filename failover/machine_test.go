// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// simple are requests without a request path: what waits gets the first member
// that is open, and gates are kept.
type simple struct{ moved map[uint64]*Member }

func (simple) take(c *chooser) (*Member, uint8) {
	for i, m := range c.v.members {
		if (c.v.flags[i]&flagOpen != 0 || c.last > 0 && c.v.flags[i]&flagLast != 0) && m.gate.Free(false) && m.reserve() {
			c.gated = true
			return m, 0
		}
	}
	return nil, 0
}

func (s simple) away() int64 { return int64(len(s.moved)) }

func (s simple) forget(m *Member) (n int) {
	for key, to := range s.moved {
		if m == nil || to == m {
			delete(s.moved, key)
			n++
		}
	}
	return n
}

func (s simple) remember(key uint64, m *Member) {
	if m != nil {
		s.moved[key] = m
	}
}

// bench is a machine without a pool, a goroutine or a clock.
type bench struct {
	*machine
	t   *testing.T
	at  time.Time
	out output
}

func newBench(t *testing.T, n int, change func(*Config)) *bench {
	cfg := Config{Name: "bench", URIs: uris(n), Options: address.DefaultOptions()}
	cfg.Options.Randomize, cfg.Options.ReconnectJitter = false, 0
	if change != nil {
		change(&cfg)
	}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	return &bench{machine: newMachine(simple{map[uint64]*Member{}}, at, cfg), t: t, at: at}
}

// in gives the machine an input some time after the last one.
func (b *bench) in(after time.Duration, in input) {
	b.at = b.at.Add(after)
	b.out = b.step(b.at, in)
}

// pinged are the members that the last step wants pinged.
func (b *bench) wantsPinged() (hosts []string) {
	for _, a := range b.out.actions {
		if p, ok := a.(actPing); ok {
			hosts = append(hosts, p.m.URI.Host)
		}
	}
	return hosts
}

func (b *bench) answers(m *Member, err error) {
	b.in(time.Millisecond, inPing{m: m, epoch: m.epoch, asked: m.asked, result: report.PingResult{Status: 200, Err: err}, failure: report.Note(err)})
}

// A machine is stepped by inputs alone: a pool that finds no backend, waits as the
// back-off says, and gives a waiting request the first member that answers.
func TestMachineIsSteppedWithoutAPool(t *testing.T) {
	b := newBench(t, 2, nil)
	a, c := b.members[0], b.members[1]
	b.in(0, inStart{})
	if got := b.wantsPinged(); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("at the start %v are pinged", got)
	}
	b.answers(a, errRefused)
	b.answers(c, errRefused)
	w := &waiter{r: &Request{}}
	b.in(0, inAsk{w})
	if len(b.out.grants) != 0 || b.queue.len() != 1 {
		t.Fatalf("the request got %v, %d wait", b.out.grants, b.queue.len())
	}
	due := b.wakeAt()
	b.in(due.Sub(b.at), inTick{})
	if got := b.wantsPinged(); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("in the second pass %v are pinged", got)
	}
	b.answers(c, nil)
	if len(b.out.grants) != 1 || b.out.grants[0].gate == 0 || b.out.grants[0].w != w || b.out.grants[0].m != c || b.queue.len() != 0 {
		t.Fatalf("granted %v, %d wait", b.out.grants, b.queue.len())
	}
	if b.view.at(c) != 1 || b.view.flags[0] != 0 || c.gate.Used != 1 {
		t.Errorf("a has the flags %b, %d are in the gate of b", b.view.flags[0], c.gate.Used)
	}
	b.in(0, inEnd{m: c, outcome: report.Answered, epoch: c.epoch, gate: b.out.grants[0].gate, status: 200})
	if c.state != stateUp || c.gate.Used != 0 || b.passes != 2 {
		t.Errorf("b is %v with %d in its gate after %d passes", c.state, c.gate.Used, b.passes)
	}
}

// What requests see changes with the output of a step, not within it.
func TestAStepWritesNothingThatRequestsRead(t *testing.T) {
	b := newBench(t, 2, nil)
	a := b.members[0]
	b.in(0, inStart{})
	b.answers(a, nil)
	a.show()
	dialing := a.shown.pending.Load()
	b.in(time.Second, inEnd{m: a, outcome: report.DialFailed, epoch: a.epoch, failure: report.Note(errRefused)})
	if a.shown.epoch.Load() != 0 || a.shown.pending.Load() != dialing || dialing.waiting.Err() != nil {
		t.Error("the step itself was seen")
	}
	if a.epoch != 1 || !slices.Equal(b.out.abandoned, []*Member{a}) {
		t.Errorf("epoch %d, abandoned %v", a.epoch, b.out.abandoned)
	}
	b.in(0, inRemove{uris(1)})
	if b.out.removed != 1 || !slices.Equal(b.out.retired, []*Member{a}) || a.index != -1 || a.shown.index.Load() != 0 {
		t.Errorf("removed %d, retired %v, index %d", b.out.removed, b.out.retired, a.index)
	}
}
