// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "time"

// feed gives the machine an input. What the machine decided about requests and
// members is in effect when it returns; the actions follow on the pool's own
// goroutine.
func (p *Pool) feed(in input) output {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.machine.step(time.Now(), in)
	for again := p.show(out); again != nil; {
		again = p.show(p.machine.step(time.Now(), again))
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return out
}

// show puts what came of a step into effect: first what requests see, then what
// they are told. A request may have acted on what it saw before; then the machine
// has to hear of it, as the input that show returns. p.mu is held.
func (p *Pool) show(out output) (again input) {
	x := p.machine
	for _, m := range out.retired {
		m.show()
	}
	for _, m := range x.members {
		m.show()
	}
	if p.tick.Load() != x.sampler.Tick {
		p.tick.Store(x.sampler.Tick)
	}
	if p.view.Load() != x.view {
		p.view.Store(x.view)
	}
	for _, m := range out.abandoned {
		m.abandon()
	}
	for _, d := range out.grants {
		if d.m != nil {
			d.group = d.m.shown.pending.Load()
		}
		d.w.decided <- d // it has room
	}
	p.todo = append(p.todo, out.actions...)
	if !x.sampler.Awake && !p.idle.Load() {
		// First say so, then look again: a request that comes between sees it.
		p.idle.Store(true)
		if p.inProgress.Load() > 0 && p.idle.CompareAndSwap(true, false) {
			return inBusy{}
		}
	}
	if !x.queue.crowded {
		if p.places.Load() {
			p.places.Store(false)
		}
	} else if !p.places.Swap(true) {
		return inPlace{} // one may have become free just before that was known
	}
	return nil
}

// tickNow is the tick with what the machine has to know of the requests.
func (p *Pool) tickNow() inTick {
	return inTick{total: p.inProgress.Load(), moved: p.unsaved.Load() && p.unsaved.Swap(false)}
}

// requestPath is the path of the requests for the machine. p.mu is held.
type requestPath struct{ p *Pool }

func (r requestPath) take(c *chooser) (m *Member, dial uint8) {
	c.p = r.p
	if m = c.choose(); m != nil {
		dial = r.p.dial(m)
	}
	return m, dial
}

func (r requestPath) away() int64 { return r.p.moves.Len() }

func (r requestPath) forget(m *Member) int {
	return r.p.moves.DropIf(func(_ uint64, to *Member) bool { return m == nil || to == m })
}

func (r requestPath) remember(key uint64, m *Member) {
	if m == nil {
		r.p.moves.TouchKey(key)
		return
	}
	r.p.moves.Restore(key, m, r.p.tick.Load())
}

// Interface guard
var _ requests = requestPath{}
