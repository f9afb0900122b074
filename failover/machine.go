// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// pingKind says why a member is pinged.
type pingKind uint8

const (
	pingProbe pingKind = iota // to learn whether it is there
	pingWatch                 // because a request makes no progress
)

// The inputs of the machine. Each is a fact; what follows from it is decided in
// step alone.
type (
	input any

	inNothing   struct{}
	inStart     struct{}
	inTick      struct{}
	inBusy      struct{} // a request came after a time without any
	inPlace     struct{} // a place became free while somebody waits for one
	inInterrupt struct{}

	inConnected struct {
		m     *Member
		epoch uint32
	}
	inEnd struct {
		m           *Member
		outcome     Outcome
		epoch       uint32
		gated, slot bool
		status      int
		failure     *failure
	}
	inMoved struct{ from, to *Member }
	inPing  struct {
		m       *Member
		kind    pingKind
		epoch   uint32
		result  PingResult
		failure *failure // of the result
	}
	inAsk struct{ w *waiter }
	// inConsulted is what the carrier answered to actConsult.
	inConsulted struct{ asked []consultation }
	inLeave     struct {
		w      *waiter
		reason Reason
	}
	inRebind struct{ cfg Config }
	// inDo is an operation of the user.
	inDo struct{ do func(x *machine) }
)

// The actions of the machine, carried out by the pool's goroutine in order.
type (
	action any

	actPing struct {
		m       *Member
		kind    pingKind
		epoch   uint32
		timeout time.Duration
	}
	actRelease struct{ m *Member }
	actWarm    struct{ members []*Member }
	actEmit    struct{ event Event }
	actLog     struct {
		level slog.Level
		msg   string
		attrs []any
	}
	actChanged struct{}
	actEcho    struct{ heard chan<- struct{} }
	actConsult struct {
		asked   []consultation
		members []*Member
	}
)

// machine is the state of a pool. It is pure: time comes in with every input,
// nothing is sent or waited for in it, and everything it wants done comes out as
// actions. Only decisions about waiting requests leave it directly, into
// channels that never block.
type machine struct {
	p       *Pool // for counters and moves only
	name    string
	now     time.Time
	opt     address.Options
	back    backoff
	random  func() float64
	serials uint64                               // the serial of the newest member
	members []*Member                            // in list order, with those that are drained or not proved
	removed []address.URI                        // removed by the operator at run time: they stay away
	dynamic bool                                 // the configuration has a dynamic source
	said    map[string]membership.SourceSnapshot // what sources say, for the next process
	acts    []action

	running     bool // started
	interrupted bool
	reached     bool // some member has answered, ever
	lastErr     *failure
	lastRequest time.Time
	short       bool   // somebody cares: no wait is longer than a second
	served      uint64 // attempts that had ended at the last sample

	worker  worker
	queue   queue
	sampler sampler

	order   *order
	view    *view
	dirty   bool    // the view is not that of the state any more
	changed bool    // something worth keeping changed
	current *Member // affinity pool
	forced  *Member
	warm    []*Member
	warmFor *view // the view that warm was made for
	counts  counts
}

func newMachine(p *Pool, cfg Config) *machine {
	x := &machine{p: p, name: cfg.Name, random: rand.Float64, dirty: true, now: time.Now()}
	x.counts = counts{failovers: make(map[string]uint64), refused: make(map[Reason]uint64)}
	x.queue.init()
	x.configure(cfg)
	x.publish()
	return x
}

// step takes one input and returns what is to be done about it.
func (x *machine) step(now time.Time, in input) []action {
	x.now, x.acts = now, nil
	switch in := in.(type) {
	case inStart:
		x.running = true
		x.startPass()
	case inTick:
		x.sample()
	case inBusy:
		x.lastRequest = now
		x.sampler.wake(now)
	case inConnected:
		x.connected(in)
	case inEnd:
		x.ended(in)
	case inMoved:
		x.moved(in.from, in.to)
	case inPing:
		x.pinged(in)
	case inAsk:
		x.ask(in.w)
	case inConsulted:
		x.consulted(in.asked)
	case inPlace:
		x.queue.freed = true
	case inLeave:
		x.leave(in.w, in.reason)
	case inInterrupt:
		x.interrupt()
	case inRebind:
		x.configure(in.cfg)
		x.passSoon()
	case inDo:
		in.do(x)
	}
	x.settle()
	if x.changed {
		x.changed = false
		x.do(actChanged{})
	}
	return x.acts
}

// settle draws the conclusions that follow from the state whatever the input was.
func (x *machine) settle() {
	x.care()
	x.work()
	x.probe()
	x.ripen()
	if x.dirty {
		x.publish()
		x.sortOut()
	}
	x.serve()
	if x.dirty {
		x.publish()
	}
	x.consult()
	x.warmUp()
	x.care()
	for _, m := range x.members {
		// The next answer is news where the pool is not sure of the member, or
		// where it ends a back-off.
		w := m.state != stateUp || !m.seen || m.step > 0 || x.worker.step > 0
		if m.watched.Load() != w {
			m.watched.Store(w)
		}
	}
}

func (x *machine) do(a action) { x.acts = append(x.acts, a) }

func (x *machine) log(level slog.Level, msg string, attrs ...any) {
	x.do(actLog{level: level, msg: msg, attrs: append([]any{"pool", x.name}, attrs...)})
}

func (x *machine) emit(name string, data map[string]any) {
	data["pool"] = x.name
	x.do(actEmit{Event{Name: name, Data: data}})
}

// find is the member with that key, or nil.
func (x *machine) find(u address.URI) *Member {
	key := u.Key()
	for _, m := range x.members {
		if m.Name == key {
			return m
		}
	}
	return nil
}

// ping asks for a ping of m. With a timeout of 0 the limit is that of the ping itself.
func (x *machine) ping(m *Member, kind pingKind, timeout time.Duration) {
	if !x.running {
		return
	}
	m.pings++
	m.pinged = x.now
	x.do(actPing{m: m, kind: kind, epoch: m.epoch.Load(), timeout: timeout})
}
