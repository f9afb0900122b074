// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrTooLarge says that a message was not sent, because a supervisor takes none of that
// size. The connection is as it was.
var ErrTooLarge = errors.New("message is too large")

// ErrUnreadable says that a message is none that this side understands, or more than it
// takes. It ends the connection.
var ErrUnreadable = errors.New("message cannot be read")

// MaxReport bounds the data of one report, in bytes.
const MaxReport = maxReport - 4096

// ErrUnanswered says that the supervisor has not said whether it has taken a report,
// as an older one does not, which knows no such answer.
var ErrUnanswered = errors.New("the broker does not answer reports")

// answerTime is how long a report waits for its answer, which a supervisor gives at
// once.
const answerTime = 10 * time.Second

// ErrNoParent says that this process was not started by a supervisor.
var ErrNoParent = errors.New("this process was not started by a broker")

// Link is a child's side of the control connection. Its methods may be called by
// anyone, except Serve.
type Link struct {
	wire *Wire

	mute atomic.Bool // no report was answered in time, and none since

	mu      sync.Mutex
	lastID  uint64
	pending map[uint64]chan Message // by mu; waits for an answer
	closed  error                   // by mu
}

// Connect takes up the control connection that a supervisor gave to this process
// and returns it with the first message. It removes all trace of it from the
// environment.
func Connect() (*Link, Hello, error) {
	value, ok := os.LookupEnv(Env)
	if !ok {
		return nil, Hello{}, ErrNoParent
	}
	_ = os.Unsetenv(Env)
	w, err := inherited(value)
	if err != nil {
		return nil, Hello{}, fmt.Errorf("connecting to broker: %w", err)
	}
	m, err := w.Recv()
	closeFiles(m.files)
	if err == nil && m.Kind != KindHello {
		err = fmt.Errorf("first message is %q, not %q", m.Kind, KindHello)
	}
	if err != nil {
		_ = w.Close()
		return nil, Hello{}, fmt.Errorf("connecting to broker: %w", err)
	}
	link := &Link{wire: w, pending: make(map[uint64]chan Message)}
	return link, Hello{Config: m.Config, Admin: m.Admin, DrainTimeout: m.Timeout, Data: m.Data, Unbound: m.Unbound}, nil
}

// Serve carries out orders until the supervisor is gone. It must run before
// Listen is called.
func (l *Link) Serve(o Orders) {
	for {
		m, err := l.wire.Recv()
		if err != nil {
			l.fail(fmt.Errorf("broker is gone: %w", err))
			o.Orphaned(err)
			return
		}
		if m.Kind == KindListened || m.Kind == KindReported {
			if m.Kind == KindReported {
				l.mute.Store(false)
			}
			l.answered(m)
			continue
		}
		closeFiles(m.files)
		switch m.Kind {
		case KindUnbind:
			o.Unbind()
		case KindActivate:
			o.Activate()
		case KindProve:
			o.Prove(m.Data)
		case KindProbe:
			o.Probe(m.Data)
		case KindPackets:
			o.Packets()
		case KindDrain:
			o.Drain(m.Timeout)
		case KindStop:
			o.Stop(m.Mode)
		case KindTell:
			o.Tell(m.Topic, m.Data)
		}
	}
}

// Listen asks the supervisor for a listening socket. The file is the caller's;
// the error is the system's for that address.
func (l *Link) Listen(network, address string, perm os.FileMode) (*os.File, error) {
	_, answer := l.ask(Message{Kind: KindListen, Network: network, Address: address, Perm: uint32(perm)})
	m := <-answer
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

// Connect makes a connection to the supervisor's user, for what address says.
func (l *Link) Connect(address string) (net.Conn, error) { return l.conn(NetworkParent, address) }

// Relay asks for an end of a way on which datagrams come to a replaced process: which is
// [RelayOwn] or [RelayNext]. A supervisor that knows no such ways answers with an error.
func (l *Link) Relay(which string) (net.Conn, error) { return l.conn(NetworkRelay, which) }

func (l *Link) conn(network, address string) (net.Conn, error) {
	file, err := l.Listen(network, address, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileConn(file)
}

// Ready says that this process has loaded and may be activated.
func (l *Link) Ready() error { return l.wire.Send(Message{Kind: KindReady}) }

// Beat says that this process lives and has just proved it.
func (l *Link) Beat() error { return l.wire.Send(Message{Kind: KindBeat}) }

// Proved says that this process has proved that it would serve well, or why it could not.
func (l *Link) Proved(failed error) error { return l.found(KindProved, failed) }

// Probed says that this process serves well, or why not.
func (l *Link) Probed(failed error) error { return l.found(KindProbed, failed) }

func (l *Link) found(kind Kind, failed error) error {
	m := Message{Kind: kind}
	if failed != nil {
		m.Error = brief(failed)
	}
	return l.wire.Send(m)
}

// Released says that this process accepts and reads on no socket any more: the
// next one may read datagrams.
func (l *Link) Released() error { return l.wire.Send(Message{Kind: KindReleased}) }

// Bound says that this process, which was activated without sockets, has them.
func (l *Link) Bound() error { return l.wire.Send(Message{Kind: KindBound}) }

// Failed says why this process is about to exit. It waits a second at most, and
// is the last thing that is said.
func (l *Link) Failed(why error) error {
	l.wire.within(time.Second)
	return l.wire.Send(Message{Kind: KindFailed, Error: brief(why)})
}

// maxReason bounds the reason of an exit, or of a proof that failed, in bytes.
const maxReason = 8 << 10

// brief is what an error says, within that.
func brief(err error) string {
	text := err.Error()
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}

// ask sends m and returns where the answer comes, which has an Error when there is
// none, and by which id.
func (l *Link) ask(m Message) (uint64, <-chan Message) {
	ch := make(chan Message, 1)
	l.mu.Lock()
	if l.closed != nil {
		defer l.mu.Unlock()
		ch <- Message{Error: l.closed.Error()}
		return 0, ch
	}
	l.lastID++
	m.ID = l.lastID
	l.pending[m.ID] = ch
	l.mu.Unlock()
	switch err := l.wire.Send(m); {
	case errors.Is(err, ErrTooLarge):
		l.answered(Message{ID: m.ID, Error: err.Error()})
	case err != nil:
		l.fail(err)
	}
	return m.ID, ch
}

// Report sends data to the parent's user.
func (l *Link) Report(topic string, data json.RawMessage) error {
	return l.wire.Send(Message{Kind: KindReport, Topic: topic, Data: data})
}

// Deliver is Report that returns when the parent's user has taken the data, or
// with the reason why it has not. One that did not answer in time is not waited for
// again before it answers.
func (l *Link) Deliver(topic string, data json.RawMessage) error {
	id, answer := l.ask(Message{Kind: KindReport, Topic: topic, Data: data})
	wait := answerTime
	if l.mute.Load() {
		wait = 0
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	select {
	case m := <-answer:
		if m.Error != "" {
			return errors.New(m.Error)
		}
		return nil
	case <-limit.C:
		l.mute.Store(true)
		l.mu.Lock()
		delete(l.pending, id)
		l.mu.Unlock()
		return ErrUnanswered
	}
}

func (l *Link) answered(m Message) {
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
		ch <- Message{Error: err.Error()}
	}
}
