// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// machine is the state of a pool, and what follows from each input. It is a value
// that is stepped: time comes in with every input, nothing is sent or waited for
// in it, and everything it wants done comes out. A test steps it without a Pool.
//
// Of the requests under way it reads the members' shared counters, which it never
// writes, and asks the requests interface for places. No code of the carrier's
// runs in a step: what the carrier thinks of members comes with the requests that
// wait, and what an error says has been read before.
//
// Invariants: after a step view is that of the state (dirty is false), each
// waiter is either in the queue or has exactly one decision, no member is in
// members twice, and there is at least one member unless there never was any.
type machine struct {
	requests requests
	random   func() float64 // evenly from [0,1), for jitter

	now  time.Time // of the present input
	opt  address.Options
	back tracker.Backoff
	roster
	out output // of the present step

	running     bool // started
	interrupted bool // nothing waits, is probed or kept warm any more
	reached     bool // some member has answered, ever
	lastErr     *report.Failure
	lastRequest time.Time
	short       bool // a request or a client is waited for: no wait is longer than a second

	worker  tracker.Worker
	outage  tracker.Outage
	queue   queue
	sampler tracker.Sampler

	order    *order
	view     *view
	dirty    bool      // the view is not that of the state any more
	changed  bool      // something worth keeping changed
	verified bool      // a ping has come to its end that requests may wait for
	current  *Member   // affinity pool: where all clients are
	forced   *Member   // where the operator sent all clients
	warm     []*Member // which the carrier was told last
	warmFor  *view     // the view that warm was made for
	passes   uint64    // started
}

// requests is the path of the requests, as far as a step needs it: places on
// members are taken and given back there without the machine, and clients are
// remembered there.
type requests interface {
	// take takes a place on the member that c chooses, and counts the dial that
	// follows in the returned slot; nil when c finds none.
	take(c *chooser) (m *Member, dial uint8)
	// away is how many clients are remembered as away from their own member.
	away() int64
	// forget ends that for the clients that were moved to m, or for all when m is
	// nil, and returns how many they were.
	forget(m *Member) int
	// remember says that the client with that key was moved to m in an earlier
	// process; nil stands for a member that is gone.
	remember(key uint64, m *Member)
}

func newMachine(requests requests, now time.Time, cfg Config) *machine {
	x := &machine{requests: requests, roster: roster{pool: cfg.Name, drains: make(map[string]string)}, random: rand.Float64, dirty: true, now: now}
	x.queue.init()
	x.configure(cfg)
	x.publish()
	return x
}

// step takes one input and returns what is to be done about it.
func (x *machine) step(now time.Time, in input) output {
	x.now, x.out = now, output{}
	x.take(in)
	x.settle()
	return x.out
}

// take notes what the input says.
func (x *machine) take(in input) {
	switch in := in.(type) {
	case inStart:
		x.running = true
		x.startPass()
	case inTick:
		x.sample(in)
	case inBusy:
		x.lastRequest = x.now
		x.sampler.Wake(x.now)
	case inConnected:
		x.connected(in)
	case inEnd:
		x.ended(in)
	case inBlame:
		x.blame(in.loss)
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
	case inEcho:
		if x.out.running = x.running; x.running {
			x.do(actEcho(in))
		}
	case inRestore:
		x.out.err = x.restore(in.s)
	default:
		x.operate(in)
	}
}

// settle draws the conclusions that follow from the state whatever the input was.
func (x *machine) settle() {
	x.prove()
	x.care()
	x.work()
	x.probe()
	x.ripen()
	if x.dirty {
		x.publish()
		x.sortOut()
	} else if x.verified {
		x.sortOut()
	}
	x.verified = false
	x.serve()
	if x.dirty {
		x.publish()
	}
	x.tellRecovered()
	x.consult()
	x.warmUp()
	x.care()
	for _, m := range x.members {
		// The next answer is news where the pool is not sure of the member, or
		// where it ends a back-off.
		m.watched = m.state != stateUp || !m.seen || m.step > 0 || x.worker.Step > 0
	}
	if x.changed {
		x.changed = false
		x.do(actChanged{})
	}
}

func (x *machine) do(a action) { x.out.actions = append(x.out.actions, a) }

func (x *machine) log(level slog.Level, msg string, attrs ...any) {
	x.do(actLog{level: level, msg: msg, attrs: append([]any{"pool", x.pool}, attrs...)})
}

func (x *machine) emit(name string, data map[string]any) {
	data["pool"] = x.pool
	x.do(actEmit{report.Tell(name, data)})
}

// ping asks for a ping of m. With a timeout of 0 the limit is that of the ping itself.
func (x *machine) ping(m *Member, kind pingKind, timeout time.Duration) {
	if !x.running {
		return
	}
	m.pings++
	m.asked++
	m.pinged = x.now
	x.do(actPing{m: m, kind: kind, epoch: m.epoch, asked: m.asked, timeout: timeout})
}
