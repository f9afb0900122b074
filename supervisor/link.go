// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ErrNoParent says that this process was not started by a supervisor.
var ErrNoParent = errors.New("this process was not started by a broker")

// Hello is what a process is told at its start.
type Hello struct {
	// Config is the configuration to serve.
	Config json.RawMessage
	// Admin is the path for this process's private admin socket.
	Admin string
	// DrainTimeout bounds what is in progress when the supervisor is gone; 0 is for ever.
	DrainTimeout time.Duration
	// Data is from the supervisor's user.
	Data json.RawMessage
}

// Orders is what a supervisor may tell its child. The functions are called one
// at a time, in order, on the link's goroutine: they must not wait for users.
type Orders struct {
	// Activate: accept connections. Data is from the supervisor's user, as of now.
	Activate func(data json.RawMessage)
	// Packets: read datagram sockets as well.
	Packets func()
	// Drain: replaced; finish what is in progress within timeout (0: for ever), then exit.
	Drain func(timeout time.Duration)
	// Stop in mode, then exit.
	Stop func(mode Mode)
	// Tell: something from the parent's user.
	Tell func(topic string, data json.RawMessage)
	// Orphaned: the supervisor is gone; nothing else follows.
	Orphaned func()
}

// Link is a child's side of the control connection. Its methods may be called by
// anyone, except Serve.
type Link struct {
	wire *wire

	mu      sync.Mutex
	lastID  uint64
	pending map[uint64]chan message // by mu; waits for an answer
	closed  error                   // by mu
}

// Connect takes up the control connection that a supervisor gave to this process
// and returns it with the first message. It removes all trace of it from the
// environment.
func Connect() (*Link, Hello, error) {
	value, ok := os.LookupEnv(envControl)
	if !ok {
		return nil, Hello{}, ErrNoParent
	}
	_ = os.Unsetenv(envControl)
	w, err := inheritedWire(value)
	if err != nil {
		return nil, Hello{}, fmt.Errorf("connecting to broker: %w", err)
	}
	m, err := w.recv()
	closeFiles(m.files)
	if err == nil && m.Kind != msgHello {
		err = fmt.Errorf("first message is %q, not %q", m.Kind, msgHello)
	}
	if err != nil {
		_ = w.Close()
		return nil, Hello{}, fmt.Errorf("connecting to broker: %w", err)
	}
	link := &Link{wire: w, pending: make(map[uint64]chan message)}
	return link, Hello{Config: m.Config, Admin: m.Admin, DrainTimeout: m.Timeout, Data: m.Data}, nil
}

// Serve carries out orders until the supervisor is gone. It must run before
// Listen is called.
func (l *Link) Serve(o Orders) {
	for {
		m, err := l.wire.recv()
		if err != nil {
			l.fail(fmt.Errorf("broker is gone: %w", err))
			o.Orphaned()
			return
		}
		if m.Kind == msgListened || m.Kind == msgReported {
			l.answered(m)
			continue
		}
		closeFiles(m.files)
		switch m.Kind {
		case msgActivate:
			o.Activate(m.Data)
		case msgPackets:
			o.Packets()
		case msgDrain:
			o.Drain(m.Timeout)
		case msgStop:
			o.Stop(m.Mode)
		case msgTell:
			o.Tell(m.Topic, m.Data)
		}
	}
}

// Listen asks the supervisor for a listening socket. The file is the caller's;
// the error is the system's for that address.
func (l *Link) Listen(network, address string, perm os.FileMode) (*os.File, error) {
	m := l.ask(message{Kind: msgListen, Network: network, Address: address, Perm: uint32(perm)})
	if m.Error != "" {
		closeFiles(m.files)
		return nil, errors.New(m.Error)
	}
	if len(m.files) != 1 {
		closeFiles(m.files)
		return nil, fmt.Errorf("listening on %s/%s: %d descriptors received", network, address, len(m.files))
	}
	return os.NewFile(uintptr(m.files[0]), network+"/"+address), nil
}

// Ready says that this process has loaded and may be activated.
func (l *Link) Ready() error { return l.wire.send(message{Kind: msgReady}) }

// Beat says that this process lives and has just proved it.
func (l *Link) Beat() error { return l.wire.send(message{Kind: msgBeat}) }

// Released says that this process accepts and reads on no socket any more: the
// next one may read datagrams.
func (l *Link) Released() error { return l.wire.send(message{Kind: msgReleased}) }

// Failed says why this process is about to exit. It waits a second at most, and
// is the last thing that is said.
func (l *Link) Failed(err error) {
	l.wire.within(time.Second)
	_ = l.wire.send(message{Kind: msgFailed, Error: err.Error()})
}

// ask sends m and waits for the answer, which has an Error when there is none.
func (l *Link) ask(m message) message {
	ch := make(chan message, 1)
	l.mu.Lock()
	if l.closed != nil {
		defer l.mu.Unlock()
		return message{Error: l.closed.Error()}
	}
	l.lastID++
	m.ID = l.lastID
	l.pending[m.ID] = ch
	l.mu.Unlock()
	if err := l.wire.send(m); err != nil {
		l.fail(err)
	}
	return <-ch
}

// Report sends data to the parent's user.
func (l *Link) Report(topic string, data json.RawMessage) error {
	return l.wire.send(message{Kind: msgReport, Topic: topic, Data: data})
}

// Deliver is Report that returns when the parent's user has taken the data, or
// with the reason why it has not.
func (l *Link) Deliver(topic string, data json.RawMessage) error {
	if m := l.ask(message{Kind: msgReport, Topic: topic, Data: data}); m.Error != "" {
		return errors.New(m.Error)
	}
	return nil
}

func (l *Link) answered(m message) {
	l.mu.Lock()
	ch := l.pending[m.ID]
	delete(l.pending, m.ID)
	l.mu.Unlock()
	if ch == nil {
		closeFiles(m.files)
		return
	}
	ch <- m
}

// fail answers everybody who waits, and all who will ask.
func (l *Link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed == nil {
		l.closed = err
	}
	for id, ch := range l.pending {
		delete(l.pending, id)
		ch <- message{Error: err.Error()}
	}
}
