// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"maps"
	"os"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// Handover is a child on its way from a program to the one that takes its place in the
// same process, by executing it: the processes stay this one's, and so do their sockets
// and connections. It is made for encoding/json; the descriptors go beside it.
type Handover struct {
	// Stopped says that the operator has stopped the child, which stays so.
	Stopped bool `json:"stopped,omitempty"`
	// Generation is the one that serves, LastGeneration and LastID the last that there were.
	Generation     int `json:"generation"`
	LastGeneration int `json:"last_generation"`
	LastID         int `json:"last_id"`

	Processes []HandedProcess `json:"processes,omitempty"`
	Sockets   HandedSockets   `json:"sockets,omitempty"`

	Stats    Stats       `json:"stats"`
	LastExit *exits.Exit `json:"last_exit,omitempty"`

	LastFailure *exits.Exit `json:"last_failure,omitempty"`
}

// HandedProcess is one process that is handed over.
type HandedProcess struct {
	ID         int       `json:"id"`
	Generation int       `json:"generation"`
	Pid        int       `json:"pid"`
	Phase      string    `json:"phase"`
	Cause      string    `json:"cause,omitempty"`
	Role       string    `json:"role,omitempty"`
	Packets    bool      `json:"packets,omitempty"`
	Unbound    bool      `json:"unbound,omitempty"`
	Started    time.Time `json:"started"`
	Ready      time.Time `json:"ready"`
	Deadline   time.Time `json:"deadline"`
	KillAt     time.Time `json:"kill_at"`
	UID        int       `json:"uid"`
	Spec       *Spec     `json:"spec"`

	// Connection is the control connection; another program's has none.
	Connection handedWire `json:"connection"`
	// Stderr is the pipe with its output, and Tail what it has written last.
	Stderr int    `json:"stderr"`
	Tail   string `json:"tail,omitempty"`
	// Page is the account of what it has in progress; 0 is none.
	Page int `json:"page,omitempty"`
	// Watcher is the process that ends another program's group; 0 is none.
	Watcher int `json:"watcher,omitempty"`
}

// proc is the process as the machine goes on with it. Other programs do not outlive a
// hand-over: their watchers end them, as at the end of the process.
func (h *HandedProcess) proc(now time.Time) *proc {
	p := &proc{
		id: h.ID, gen: h.Generation, spec: h.Spec, pid: h.Pid, phase: phase(h.Phase), role: h.Role, cause: h.Cause, packets: h.Packets, unbound: h.Unbound,
		started: h.Started, ready: h.Ready, deadline: h.Deadline, killAt: h.KillAt,
	}
	if p.finishes() {
		p.settleAt = now.Add(settleTime)
	}
	switch {
	case h.Spec.External:
		p.phase, p.cause, p.deadline, p.killAt = phaseStopping, exits.Replace, time.Time{}, now.Add(2*endTime)
	case h.Spec.Watchdog > 0 && !h.Ready.IsZero():
		p.lastBeat = now
	}
	return p
}

// clone is a copy that can be counted on.
func (s Stats) clone() Stats {
	if s.Exits = maps.Clone(s.Exits); s.Exits == nil {
		s.Exits = make(map[string]uint64)
	}
	return s
}

// parking holds up the goroutines that read from a process, while another program may
// take this one's place and go on reading.
type parking struct {
	heard, drained chan struct{} // closed when the reader of the connection, of the output stands still
	over           chan struct{} // closed when they go on, since nothing came of it
}

// parked reports whether a reader that has got err was held up, and returns when it is
// to go on.
func (p *process) parked(err error, still func(*parking) chan struct{}) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	hold := p.parking.Load()
	if hold == nil {
		return true // it is over just now
	}
	close(still(hold))
	<-hold.over
	return true
}

type (
	// inShow asks for what there is of a frozen machine. It is the owner's to answer.
	inShow struct{ to chan<- frozen }
	// frozen is that, with the processes in the same order.
	frozen struct {
		handover  *Handover
		processes []*process
	}
)

func (inShow) apply(*machine, time.Time) {}

// show returns what there is, without what only the processes themselves have.
func (s *Supervisor) show() (f frozen) {
	m := s.m
	f.handover = &Handover{
		Stopped: !m.wanted, Generation: m.gen, LastGeneration: m.lastGn, LastID: m.lastID,
		Stats: m.stats.clone(), LastExit: m.lastExit, LastFailure: m.lastFailure,
	}
	for _, p := range m.procs {
		own := s.procs[p.id]
		if own == nil {
			continue
		}
		f.processes = append(f.processes, own)
		f.handover.Processes = append(f.handover.Processes, HandedProcess{
			ID: p.id, Generation: p.gen, Pid: p.pid, Phase: string(p.phase), Role: p.role, Cause: p.cause, Packets: p.packets, Unbound: p.unbound,
			Started: p.started, Ready: p.ready, Deadline: p.deadline, KillAt: p.killAt, Spec: p.spec,
		})
	}
	return f
}
