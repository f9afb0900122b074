// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
	"github.com/caddy-broker/caddy-broker/supervisor/relay"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// Config is what a supervisor needs besides what it shall run.
type Config struct {
	// Name is the child's name, for users.
	Name string
	// Stderr makes what gets everything that the process with that id writes, until it is
	// closed; nil is nothing.
	Stderr func(pid int) io.WriteCloser
	// HALog may be nil.
	HALog *halog.Log
	// AdminSocket returns the path of the private admin socket of process id, which
	// runs as user; an empty user is this process's.
	AdminSocket func(id int, user string) string
	// Hello returns what a new process of spec is told besides its configuration; nil is
	// nothing.
	Hello func(spec *Spec) json.RawMessage
	// Prove is called when process id is to prove itself, before it hears of that, on the
	// supervisor's goroutine. What it returns is told right before; nil is nothing. It must
	// not block.
	Prove func(id int) Pieces
	// Activate is called when process id becomes the one that serves, before it
	// hears of it, on the supervisor's goroutine. What it returns is told right before;
	// nil is nothing. It must not block.
	Activate func(id int) Pieces
	// Report gets what a process has to say to the parent's user. An error is why
	// it was not taken; the process hears of it if it waits for that. One that is
	// [control.ErrUnreadable] ends the connection.
	Report func(id int, topic string, data json.RawMessage) error
	// Connect gets a connection that a process has asked for, and what for. It owns the
	// connection, unless it refuses it with an error. It must not block, and may be nil.
	Connect func(conn net.Conn, address string) error
	// Cut gets the requests that the end of a process has cut off, before any event tells
	// of that end, on the supervisor's goroutine. It must not block. It may be nil.
	Cut func(exit *exits.Exit, requests []account.Request)
	// RolledBack is called when a spec that did not serve well has given way to the one
	// before, on the supervisor's goroutine. It must not block. It may be nil.
	RolledBack func(RolledBack)
	// Event gets every event, in order, on the supervisor's goroutine. It must
	// not block.
	Event func(Event)
	// Hold starts answering on the held sockets until the next start at the
	// given time, and returns what ends that. It may be nil.
	Hold func(s *sockets.Holder, next time.Time) (release func())
	// Handed is the child as the program before has left it, for Resume; nil is none.
	Handed *Handover
}

// Pieces are topics with data, which are asked for one by one as they are sent, on
// another goroutine.
type Pieces = iter.Seq2[string, json.RawMessage]

// Supervisor runs one child. Its methods may be called by anyone; one goroutine
// owns its state.
type Supervisor struct {
	cfg     Config
	sockets *sockets.Holder
	relays  relay.Registry
	inputs  chan request
	done    chan struct{}
	reserve sockets.Reserve
	status  atomic.Pointer[Status]
	token   atomic.Int64
	alive   time.Duration // aliveTime, except in tests

	// Owned by run.
	m       *machine
	procs   map[int]*process
	replies map[int]chan error
	release func()
}

// request is an input and, if its reply is waited for, where it goes.
type request struct {
	in    input
	token int
	reply chan error
}

// maxInputs bounds what waits for a supervisor; then those that have more wait.
const maxInputs = 64

// New makes a supervisor that runs nothing yet. Close it in the end.
func New(cfg Config) *Supervisor {
	s := &Supervisor{
		cfg:     cfg,
		sockets: holderOf(cfg.Handed),
		alive:   aliveTime,
		inputs:  make(chan request, maxInputs),
		done:    make(chan struct{}),
		m:       newMachine(cfg.Name, rand.Float64),
		procs:   make(map[int]*process),
		replies: make(map[int]chan error),
	}
	s.publish()
	s.reserve.Fill()
	go s.run()
	return s
}

// Start runs spec and returns when it serves, or with the reason why it cannot.
// A spec of nil is the one that ran before.
func (s *Supervisor) Start(ctx context.Context, spec *Spec) error {
	return s.ask(ctx, func(token int) input { return inStart{spec, token} })
}

// Replace lets spec serve instead of what serves now and returns when it does.
// If it cannot, what serves goes on, or with StopFirst is started again, and the
// error says why. A spec of nil is a restart without loss.
//
// While older processes still finish requests it waits for them, at most ten seconds,
// so that no change cuts a request; changes that come meanwhile are made together.
func (s *Supervisor) Replace(ctx context.Context, spec *Spec) error {
	return s.ask(ctx, func(token int) input { return inReplace{spec, token} })
}

// AwaitRoom returns when a replacement would begin at once, or after the time that it
// would wait for that itself: for those that can gather changes meanwhile.
func (s *Supervisor) AwaitRoom(ctx context.Context) error {
	return s.ask(ctx, func(token int) input { return inRoom{token} })
}

// Tune takes over settings of spec that concern no running process, if from is what runs.
func (s *Supervisor) Tune(from, spec *Spec) {
	s.put(inTune{from, spec})
}

// Promote swaps the active process for a standby.
func (s *Supervisor) Promote(ctx context.Context) error {
	return s.ask(ctx, func(token int) input { return inPromote{token} })
}

// Stop ends the child and returns when no process of it is left. Called again
// with control.Force it turns an immediate stop into a forced one.
func (s *Supervisor) Stop(ctx context.Context, mode control.Mode) error {
	return s.ask(ctx, func(token int) input { return inStop{mode, token} })
}

// Tell sends data to every process of the child.
func (s *Supervisor) Tell(topic string, data json.RawMessage) {
	s.put(inTell{topic, data})
}

// Close ends the child by force if it still runs, and the supervisor with it. It
// returns when no process is left. Calls that still wait for a reply get an error.
func (s *Supervisor) Close() {
	s.put(inClose{})
	<-s.done
}

// Sockets are the held ones.
func (s *Supervisor) Sockets() *sockets.Holder { return s.sockets }

func (s *Supervisor) put(in input) {
	select {
	case s.inputs <- request{in: in}:
	case <-s.done:
	}
}

func (s *Supervisor) ask(ctx context.Context, in func(token int) input) error {
	token, reply := int(s.token.Add(1)), make(chan error, 1)
	select {
	case s.inputs <- request{in(token), token, reply}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.done:
		return ErrClosed
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.done:
	}
	select {
	case err := <-reply: // the last thing that was done
		return err
	default:
		return ErrClosed
	}
}

func (s *Supervisor) run() {
	defer close(s.done)
	defer s.reserve.GiveUp()
	// Programs end with the thread that started them, which must not be lent out.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.m.closed || s.m.left() > 0 {
		var in input = inTick{}
		select {
		case <-timer.C:
		case r := <-s.inputs:
			in = r.in
			if r.reply != nil {
				s.replies[r.token] = r.reply
			}
		}
		s.handle(in)
		timer.Reset(s.sleep())
	}
}

func (s *Supervisor) sleep() time.Duration {
	next := s.m.next()
	if next.IsZero() {
		return time.Hour
	}
	return max(time.Until(next), time.Millisecond)
}

// handle steps the machine and carries out what it says, and what follows from that.
func (s *Supervisor) handle(in input) {
	switch in := in.(type) {
	case inExited:
		delete(s.procs, in.id)
		s.relays.Leave(in.id)
	case inShow:
		in.to <- s.show()
		return
	}
	todo := s.step(in)
	for len(todo) > 0 {
		a := todo[0]
		todo = todo[1:]
		if follow := s.carryOut(a); follow != nil {
			todo = append(s.step(follow), todo...)
		}
	}
}

// step publishes the new state before its actions are carried out.
func (s *Supervisor) step(in input) []action {
	todo := s.m.step(time.Now(), in)
	s.publish()
	return todo
}

// carryOut does one thing; what that led to is the next input.
func (s *Supervisor) carryOut(a action) input {
	switch a.kind {
	case actSpawn:
		return s.spawn(a.id, a.spec, a.unbound)
	case actAdopt:
		return s.adopt(a.handed)
	case actSend:
		var before Pieces
		switch {
		case a.msg.Kind == control.KindActivate && s.cfg.Activate != nil:
			before = s.cfg.Activate(a.id)
		case a.msg.Kind == control.KindProve && s.cfg.Prove != nil:
			before = s.cfg.Prove(a.id)
		}
		if p := s.procs[a.id]; p != nil {
			p.post(a.msg, before)
		}
	case actSignal:
		if p := s.procs[a.id]; p != nil {
			p.signal(a.signal)
		}
	case actReply:
		if ch := s.replies[a.reply]; ch != nil {
			delete(s.replies, a.reply)
			ch <- a.err
		}
	case actLog:
		s.cfg.HALog.Line(a.code, a.text)
	case actEvent:
		if s.cfg.Event != nil {
			s.cfg.Event(a.event)
		}
	case actRolledBack:
		if s.cfg.RolledBack != nil {
			s.cfg.RolledBack(*a.back)
		}
	case actCut:
		if s.cfg.Cut != nil {
			s.cfg.Cut(a.exit, a.cut)
		}
	case actLeave:
		s.sockets.Leave(a.id)
	case actSweep:
		s.sockets.Sweep()
	case actCloseSockets:
		s.sockets.CloseAll()
	case actLook:
		if p := s.procs[a.id]; p != nil {
			return inLooked{a.id, isStopped(p.pid())}
		}
	case actHold:
		if s.cfg.Hold != nil {
			s.release = s.cfg.Hold(s.sockets, a.at)
		}
	case actRelease:
		if s.release != nil {
			s.release()
			s.release = nil
		}
	}
	return nil
}

func (s *Supervisor) spawn(id int, spec *Spec, unbound bool) input {
	s.sockets.Open()
	var p *process
	err := s.reserve.With(func() (err error) {
		p, err = s.launch(id, spec, unbound)
		return err
	})
	if err != nil {
		return inExited{id: id, exit: exits.Exit{Code: 127}, said: err.Error()}
	}
	s.procs[id] = p
	return inSpawned{id: id, pid: p.cmd.Process.Pid}
}
