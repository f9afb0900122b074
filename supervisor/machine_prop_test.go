// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

// world is what surrounds a machine: processes that do what they like, people who
// ask for things, a clock. It checks after every step what must always hold.
type world struct {
	*rapid.T
	m     *machine
	now   time.Time
	specs []*Spec

	running map[int]bool // processes that were spawned and have not exited
	pending []int        // requests without an answer
	asked   int          // the last request
	hold    bool

	serving    int     // the process that was activated last
	rolledBack []*Spec // none of them serves before it is asked for again
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), running: map[int]bool{}}
	w.m = newMachine("default", func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "random") })
	durations := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 7 * time.Second, time.Minute})
	for i := range 3 {
		w.specs = append(w.specs, &Spec{
			Command:  []string{"program", strconv.Itoa(i)},
			External: rapid.IntRange(0, 4).Draw(t, "external") == 0, StopFirst: rapid.IntRange(0, 2).Draw(t, "alone") == 0,
			Standby: rapid.IntRange(0, 2).Draw(t, "standby"),
			Restart: restart.Policy{
				Delay: durations.Draw(t, "delay"), MaxDelay: durations.Draw(t, "max"), Reset: durations.Draw(t, "reset"),
			},
			ReadyTimeout: durations.Draw(t, "ready"), Watchdog: rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Minute}).Draw(t, "watchdog"),
			DrainTimeout: durations.Draw(t, "drain"), StopTimeout: durations.Draw(t, "stop"),
		})
		spec := w.specs[len(w.specs)-1]
		spec.Errors = answers.Limit{More: 0.1, Least: 5}
		spec.Probation = durations.Draw(t, "probation")
		if rapid.Bool().Draw(t, "probes") {
			spec.Probe = json.RawMessage(`[]`)
		}
		if rapid.Bool().Draw(t, "proves") {
			spec.Prove, spec.ProveTimeout = json.RawMessage(`{}`), durations.Draw(t, "prove")
		}
	}
	return w
}

func (w *world) token() int {
	w.asked++
	w.pending = append(w.pending, w.asked)
	return w.asked
}

// id is of a process that runs, mostly.
func (w *world) id() int {
	var ids []int
	for _, p := range w.m.procs {
		ids = append(ids, p.id)
	}
	if len(ids) == 0 || rapid.IntRange(0, 20).Draw(w.T, "stray") == 0 {
		return rapid.IntRange(0, 30).Draw(w.T, "id")
	}
	return rapid.SampledFrom(ids).Draw(w.T, "process")
}

func (w *world) maybeSpec() *Spec {
	if i := rapid.IntRange(-1, 2).Draw(w.T, "spec"); i >= 0 {
		return w.specs[i]
	}
	return nil
}

func (w *world) input() input {
	switch rapid.IntRange(0, 26).Draw(w.T, "what") {
	case 0:
		return inStart{w.maybeSpec(), w.token()}
	case 1:
		return inReplace{w.maybeSpec(), w.token()}
	case 2:
		from := w.m.spec
		if rapid.IntRange(0, 4).Draw(w.T, "overtaken") == 0 {
			from = w.specs[rapid.IntRange(0, 2).Draw(w.T, "from")]
		}
		spec := *w.specs[rapid.IntRange(0, 2).Draw(w.T, "spec")]
		if from != nil { // what would need a replacement is no tuning
			spec.Command, spec.External = from.Command, from.External
		}
		return inTune{from, &spec}
	case 3:
		return inPromote{w.token()}
	case 4:
		return inStop{rapid.SampledFrom([]control.Mode{control.Immediate, control.Force}).Draw(w.T, "mode"), w.token()}
	case 5, 6, 7:
		return inReady{id: w.id()}
	case 8:
		return inBeat{w.id()}
	case 9:
		return inHung{w.id()}
	case 10:
		return inReleased{w.id()}
	case 24:
		return inBound{w.id()}
	case 25:
		return inLooked{w.id(), rapid.Bool().Draw(w.T, "stopped")}
	case 11, 12:
		id := w.id()
		delete(w.running, id)
		return inExited{id: id, exit: exits.Exit{Code: rapid.IntRange(0, 3).Draw(w.T, "code")}}
	case 13:
		return inTell{topic: "news"}
	case 14:
		return inBroken{w.id(), "its control connection has ended"}
	case 15:
		return inRoom{w.token()}
	case 16:
		return inFreeze{w.token()}
	case 17, 18:
		return inThaw{}
	case 19, 20:
		return inProved{w.id(), rapid.SampledFrom([]string{"", "no answer"}).Draw(w.T, "proof")}
	case 21, 22:
		return inProbed{w.id(), rapid.SampledFrom([]string{"", "no answer"}).Draw(w.T, "probe")}
	case 23:
		return inAnswers{w.id(), answers.Counts{All: rapid.Uint64Range(0, 20).Draw(w.T, "answers"), Failed: rapid.Uint64Range(0, 20).Draw(w.T, "failed")}}
	default:
		return inTick{}
	}
}

// step does one thing, and what follows from it as the owner would.
func (w *world) step(in input, spawns bool) {
	steps := 0
	for todo := w.take(in); len(todo) > 0; {
		a := todo[0]
		todo = todo[1:]
		if a.kind != actSpawn {
			continue
		}
		var follow input = inSpawned{id: a.id, pid: 1000 + a.id}
		if !spawns {
			follow = inExited{id: a.id, exit: exits.Exit{Code: 127}, said: "no such file"}
		} else {
			w.running[a.id] = true
		}
		todo = append(w.take(follow), todo...)
		if steps++; steps > 20 {
			w.Fatal("spawning without end in one step")
		}
	}
}

func (w *world) take(in input) []action {
	before := w.m.probation
	w.asks(in)
	actions := w.m.step(w.now, in)
	for _, a := range actions {
		w.check(a)
		if a.kind == actRolledBack && (before == nil || a.back.To != before.good || w.m.probation != nil) {
			w.Fatalf("rolled back to what is not the spec before: %v, %v", a.back.To, before)
		}
		if a.kind == actRolledBack {
			w.rolledBack = append(w.rolledBack, a.back.From)
		}
	}
	w.invariants()
	return actions
}

// asks notes that there is a request for a spec that was rolled back.
func (w *world) asks(in input) {
	var spec *Spec
	switch in := in.(type) {
	case inStart:
		spec = in.spec
	case inReplace:
		spec = in.spec
	}
	w.rolledBack = slices.DeleteFunc(w.rolledBack, func(s *Spec) bool { return spec != nil && s.Equal(spec) })
}

// check looks at one action.
func (w *world) check(a action) {
	switch a.kind {
	case actSpawn:
		if !w.m.wanted {
			w.Fatal("spawned though nothing is wanted")
		}
		if p := w.m.find(a.id); a.spec.StopFirst && slices.ContainsFunc(w.m.procs, func(q *proc) bool { return q != p && !q.lost }) {
			w.Fatalf("process %d starts beside another one", a.id)
		}
	case actSend, actSignal:
		if w.m.find(a.id) == nil {
			w.Fatalf("process %d is addressed after its end", a.id)
		}
		if a.msg.Kind == control.KindActivate {
			w.serving = a.id
		}
	case actReply:
		i := slices.Index(w.pending, a.reply)
		if i < 0 {
			w.Fatalf("request %d is answered twice, or was never made", a.reply)
		}
		w.pending = slices.Delete(w.pending, i, i+1)
	case actHold:
		if w.hold || !w.m.wanted {
			w.Fatal("holds twice, or for nobody")
		}
		w.hold = true
	case actRelease:
		if !w.hold {
			w.Fatal("releases what is not held")
		}
		w.hold = false
	case actSweep:
		// It may have been found hanging in the same step, or make room for what must be alone,
		// or everything is closed.
		alone := w.m.candidate != nil && w.m.specOf(w.m.candidate).StopFirst
		hung := slices.ContainsFunc(w.m.procs, func(p *proc) bool { return p.phase == phaseKilled && p.cause == exits.Hang })
		if w.m.wanted && w.m.active() == nil && !hung && !alone {
			w.Fatal("sweeps sockets while users wait there")
		}
		if p := w.m.find(w.serving); p != nil && p.phase == phaseActive && p.unbound {
			w.Fatalf("sweeps sockets before process %d has taken its own", p.id)
		}
	}
}

func (w *world) invariants() {
	m := w.m
	if n := m.count(phaseActive); n > 1 {
		w.Fatalf("%d active processes", n)
	}
	if n := m.count(phaseActive) + len(m.unsettled()); n > m.maxGenerations() {
		w.Fatalf("%d processes serve", n)
	}
	if n := m.finishing(); n > DefaultMaxDrains+1 {
		w.Fatalf("%d processes finish requests", n)
	}
	if c := m.candidate; c != nil && !c.begun && !m.specOf(c).StopFirst && (m.hasRoom() || !w.now.Before(c.until)) {
		w.Fatal("a replacement waits though it may begin")
	}
	if gap := !m.gapSince.IsZero(); gap != (m.wanted && m.active() == nil) {
		w.Fatalf("a gap is counted: %v, while %v processes are active", gap, m.count(phaseActive))
	}
	if m.later != nil && (m.candidate == nil || !m.candidate.begun) {
		w.Fatal("replacements gather behind one that they could join")
	}
	w.probation()
	if p := m.active(); p != nil && slices.ContainsFunc(w.rolledBack, p.spec.Equal) {
		w.Fatalf("process %d serves what was rolled back", p.id)
	}
	if m.wanted && m.active() == nil && m.first(phaseStandby) == nil && m.first(phaseProving) != nil && !m.frozen {
		w.Fatal("a process that is ready proves itself while nothing serves")
	}
	readers := 0
	for _, p := range m.procs {
		if p.packets {
			readers++
		}
	}
	if readers > 1 {
		w.Fatalf("%d processes read datagram sockets", readers)
	}
	if p := m.active(); p != nil && readers == 0 {
		w.Fatal("nobody reads datagram sockets")
	}
	if w.hold && (m.active() != nil || m.count(phaseStarting)+m.count(phaseStandby) > 0) {
		w.Fatal("holds though a process could serve")
	}
	if m.frozen { // what is due is done when it goes on
		return
	}
	if w.hold && m.nextStart.Sub(w.now) <= holdBefore {
		w.Fatalf("holds %s before the next start", m.nextStart.Sub(w.now))
	}
	next := m.next()
	if !next.IsZero() && !next.After(w.now) {
		w.Fatalf("wants to be asked again %s ago", w.now.Sub(next))
	}
	// What must be alone may wait for a drain or a stop without a limit.
	alone := m.wanted && m.left() > 0 && (m.spec.StopFirst || m.candidate != nil && m.specOf(m.candidate).StopFirst)
	if m.wanted && !alone && m.active() == nil && m.count(phaseStarting) == 0 && next.IsZero() {
		w.Fatal("a wanted child will never be started")
	}
	if !m.wanted && m.left() == 0 && len(m.stopping) > 0 {
		w.Fatal("nobody is told that it has stopped")
	}
}

// probation checks that what waits to serve is of the spec that serves, or on probation of
// the one before, and that a probation is over in time if nothing speaks against it.
func (w *world) probation() {
	m := w.m
	pr := m.probation
	if pr == nil {
		for _, p := range m.procs {
			if p.phase == phaseStandby && p.gen != m.gen {
				w.Fatalf("process %d waits to serve a spec that is over", p.id)
			}
		}
		return
	}
	if !m.wanted || m.frozen {
		w.Fatal("what is stopped, or handed over, is on probation")
	}
	if pr.good.Equal(m.spec) || m.spares() > max(1, pr.good.Standby) {
		w.Fatalf("on probation with %d spares", m.spares())
	}
	if p := m.active(); p != nil && p.spec.Watchdog == 0 && m.spec.Probe == nil && pr.failed == "" && !w.now.Before(pr.until) {
		w.Fatal("a probation does not end")
	}
}

// advance lets time pass; the machine is asked when it wants to be.
func (w *world) advance(d time.Duration) {
	then := w.now.Add(d)
	asked := 0
	for next := w.m.next(); !next.IsZero() && next.Before(then); next = w.m.next() {
		w.now = next
		w.step(inTick{}, true)
		// Starts are at least 1 ms, the shortest delay here, apart, except for the
		// first; each process has a few deadlines of its own.
		if asked++; asked > 100+int(d/(100*time.Microsecond)) {
			w.Fatalf("asked %d times in %s", asked, d)
		}
	}
	w.now = then
}

// Whatever happens in whatever order, the invariants hold, and everybody who
// asked for something is answered once.
func TestMachineInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.advance(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 10 * time.Second, 100 * time.Second}).Draw(t, "wait"))
			w.step(w.input(), rapid.IntRange(0, 9).Draw(t, "spawns") > 0)
		}
		w.step(inClose{}, true)
		for len(w.m.procs) > 0 {
			w.step(inExited{id: w.m.procs[0].id}, true)
		}
		if len(w.pending) > 0 {
			t.Fatalf("requests %v were never answered", w.pending)
		}
		if w.hold {
			t.Fatal("still holds after the end")
		}
	})
}

// Whatever was asked for is answered, though no process ever says a word or ends:
// each is killed in the end, and one that outlives it is not waited for.
func TestMachineAnswersWhateverHangs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for _, spec := range w.specs {
			spec.ReadyTimeout, spec.DrainTimeout, spec.StopTimeout = time.Second, time.Second, time.Second
		}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			w.advance(rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second}).Draw(t, "wait"))
			in := w.input()
			if e, ok := in.(inExited); ok {
				in = inReady{id: e.id}
			}
			w.step(in, true)
		}
		w.step(inThaw{}, true)
		w.step(inStop{control.Immediate, w.token()}, true)
		w.advance(time.Minute)
		if len(w.pending) > 0 {
			t.Fatalf("requests %v were not answered", w.pending)
		}
	})
}

// Whatever happens while a spec is on probation, it does not come back once it was rolled
// back, unless it is asked for again.
func TestRolledBackStaysAway(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.specs[1].Probation = time.Minute
		w.step(inStart{w.specs[0], w.token()}, true)
		w.step(inReady{id: w.m.lastID}, true)
		w.step(inReplace{w.specs[1], w.token()}, true)
		w.step(inReady{id: w.m.lastID}, true)
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			w.advance(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second}).Draw(t, "wait"))
			switch p := w.m.active(); rapid.IntRange(0, 3).Draw(t, "chance") {
			case 0:
				w.step(inReplace{rapid.SampledFrom([]*Spec{nil, nil, w.specs[2]}).Draw(t, "replacement"), w.token()}, true)
			case 1:
				w.step(inReady{id: w.m.lastID}, true)
			case 2:
				if p != nil {
					w.step(rapid.SampledFrom([]input{inProbed{p.id, "no answer"}, inExited{id: p.id, exit: exits.Exit{Code: 2}}}).Draw(t, "failure"), true)
				}
			default:
				w.step(w.input(), true)
			}
		}
	})
}

// However the child dies, it is never started faster than its policy allows.
func TestNeverRestartedTooFast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		spec := w.specs[0]
		spec.Standby, spec.ReadyTimeout, spec.Restart.Reset = 0, 0, time.Minute
		spec.Restart.MaxDelay = max(spec.Restart.Delay, spec.Restart.MaxDelay)
		w.step(inStart{spec, w.token()}, true)
		w.step(inReady{id: 1}, true)
		for deaths := 1; deaths < 12; deaths++ {
			if rapid.Bool().Draw(t, "ready") {
				w.step(inReady{id: w.m.lastID}, true)
			}
			w.now = w.now.Add(time.Millisecond)
			last, died := w.m.lastID, w.now
			w.step(inExited{id: last, exit: exits.Exit{Code: 2}}, true)
			for w.m.lastID == last {
				w.now = w.m.next()
				w.step(inTick{}, true)
			}
			waited := w.now.Sub(died)
			if waited > max(spec.Restart.MaxDelay, restart.MinDelay) {
				t.Fatalf("started %s after death %d", waited, deaths)
			}
			if least := spec.Restart.Delay; waited < least {
				t.Fatalf("started %s after death %d, want at least %s", waited, deaths, least)
			}
			if deaths > 1 && waited == 0 {
				t.Fatalf("started at once after death %d", deaths)
			}
		}
	})
}
