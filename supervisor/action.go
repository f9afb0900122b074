// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

type actionKind uint8

const (
	actSpawn actionKind = iota + 1
	actSend
	actSignal
	actReply
	actLog
	actEvent
	// actLeave: the process uses no socket any more. It is the machine's to say: a
	// process that is dead without its knowledge must not have its sockets swept.
	actLeave
	actSweep        // close sockets that no process uses
	actCloseSockets // close all
	actHold         // answer users on the held sockets until at
	actRelease      // leave the held sockets alone
	actAdopt        // go on with a process that was handed over
	actRolledBack   // tell that the spec before runs again
	actCut          // hand on the requests that the end of a process has cut off
	actLook         // find out whether a signal has stopped a process
)

// signal is what a process is sent; the names keep the machine free of systems.
type signal uint8

const (
	sigTerm signal = iota + 1
	sigAbort
	sigKill
)

// action is something for the owner to do; kind says which fields count.
type action struct {
	kind    actionKind
	id      int
	spec    *Spec
	unbound bool // it takes no socket before it is activated
	handed  *HandedProcess
	exit    *exits.Exit
	back    *RolledBack
	cut     []account.Request
	msg     control.Message
	signal  signal
	reply   int
	err     error
	code    string
	text    string
	event   Event
	at      time.Time
}

// Event is a change in a child's life, told once.
type Event struct {
	// Name is broker_child_started, _ready, _exited, _promoted, _replaced, _recycled, _stopped,
	// _silent or _responds, or broker_standby_lost or _restored.
	Name string
	// Data has child and, where a process is concerned, pid and role; exits also carry
	// code, signal and reason, how many requests were in progress and are in doubt, and
	// what happens next.
	Data map[string]any
}

func (m *machine) do(a action) { m.out = append(m.out, a) }

// reply answers a request once all else of this step is done: who is told that
// something is over finds it so.
func (m *machine) reply(token int, err error) {
	m.answers = append(m.answers, action{kind: actReply, reply: token, err: err})
}

func (m *machine) replies(tokens *[]int, err error) {
	for _, t := range *tokens {
		m.reply(t, err)
	}
	*tokens = nil
}

func (m *machine) log(code, text string) {
	m.do(action{kind: actLog, code: code, text: text})
}
