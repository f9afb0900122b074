// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/memory"
	"github.com/caddy-broker/caddy-broker/supervisor/output"
)

// process is one running process: what the operating system knows of a proc.
type process struct {
	id     int
	uid    int // of the user it runs as
	spec   *Spec
	cmd    *exec.Cmd
	wire   *control.Wire // nil for an external program
	outbox outbox
	// page is the account of what the process has in progress, which the process writes;
	// nil for an external program, and where this system has none.
	page     *os.File
	pageless error // why there is none, if there should be
	tail     *output.Tail
	sample   sample
	stderr   *os.File
	// watcher ends what the process has started when this one is killed; nil for a child
	// of our own, which starts nothing.
	watcher *watcher

	drained chan struct{} // standard error was read to its end
	heard   chan struct{} // the control connection was read to its end
	gone    chan struct{} // it has ended

	parking atomic.Pointer[parking] // nil while the readers go on

	// said is what the process gave as the reason of its coming exit.
	said atomic.Pointer[string]

	mu     sync.Mutex
	reaped bool          // by mu: its id may be another process's
	asked  bool          // by mu: it was asked to end by a signal
	killed chan struct{} // closed by mu when SIGKILL was sent
}

// outputGrace is how long the rest of a dead process's output may take, when
// something that it started keeps the pipe open.
const outputGrace = 200 * time.Millisecond

// newProcess prepares a process with command, in the surroundings that spec gives.
func newProcess(id int, command []string, spec *Spec) (*process, error) {
	if len(command) == 0 {
		return nil, errors.New("creating child process: no command")
	}
	p := emptyProcess(id, spec)
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = CleanEnv(spec.Env)
	p.ownGroup()
	return p, p.setUser(spec.User)
}

func emptyProcess(id int, spec *Spec) *process {
	p := &process{
		id:      id,
		uid:     os.Geteuid(),
		spec:    spec,
		tail:    new(output.Tail),
		drained: make(chan struct{}),
		heard:   make(chan struct{}),
		gone:    make(chan struct{}),
		killed:  make(chan struct{}),
	}
	p.outbox.more = make(chan struct{}, 1)
	return p
}

// outputs makes what gets everything that the process with that id writes; nil is nothing.
type outputs func(pid int) io.WriteCloser

// startProcess spawns a process with a control connection. Everything it writes
// goes to output as well.
func startProcess(id int, spec *Spec, output outputs) (*process, error) {
	p, err := newProcess(id, spec.Command, spec)
	if err != nil {
		return nil, err
	}
	var release func()
	if p.wire, release, err = control.Attach(p.cmd); err != nil {
		return nil, err
	}
	defer release()
	p.page, p.pageless = account.Attach(p.cmd)
	if err := p.start(output); err != nil {
		_ = p.wire.Close()
		_ = p.page.Close() // which may be nil
		return nil, err
	}
	return p, nil
}

// start runs the prepared command.
func (p *process) start(output outputs) error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("creating child process: %w", err)
	}
	defer write.Close()
	p.stderr = read
	p.cmd.Stderr = write
	if p.cmd.Stdout == nil {
		p.cmd.Stdout = write
	}
	if err := p.cmd.Start(); err != nil {
		_ = read.Close()
		return fmt.Errorf("creating child process %q: %w", p.cmd.Path, err)
	}
	p.sample.begin(p.cmd.Process.Pid)
	_ = memory.EndFirst(p.cmd.Process.Pid) // it may have ended already, and the broker does without
	p.copyOutput(output)
	return nil
}

// copyOutput keeps and hands on what the process writes, until it writes no more.
func (p *process) copyOutput(output outputs) {
	writers := []io.Writer{p.tail}
	end := func() error { return nil }
	if output != nil {
		to := output(p.cmd.Process.Pid)
		writers, end = append(writers, besteffort{to}), to.Close
	}
	go func() {
		defer close(p.drained)
		defer func() { _ = end() }()
		for {
			_, err := io.Copy(io.MultiWriter(writers...), p.stderr)
			if !p.parked(err, func(hold *parking) chan struct{} { return hold.drained }) {
				return
			}
		}
	}()
}

// besteffort swallows errors: a full disk behind our own standard error must not
// stop the child, which would hang on a pipe that is not read.
type besteffort struct{ w io.Writer }

func (b besteffort) Write(data []byte) (int, error) {
	_, _ = b.w.Write(data)
	return len(data), nil
}

// wait waits for the process to end, kills what it left behind in its group, and
// returns how it ended. It is called once, by one goroutine.
func (p *process) wait() exits.Exit {
	p.await()
	close(p.gone)
	p.awaitOutput()
	p.signal(sigKill)
	exit := p.reap()
	p.awaitGroup()
	p.watcher.release()
	_ = p.stderr.Close()
	exit.Stderr = p.tail.String()
	exit.Fault, exit.Goroutine = p.tail.Fault()
	return exit
}

// groupPoll is how often the group of an ended process is looked at, of which
// the system reports nothing.
const groupPoll = 50 * time.Millisecond

// awaitOutput waits for the rest of the output. It ends at once when nothing
// holds the pipe any more; what was asked to end in order, and still runs in the
// group without the process that started it, gets the time for that. What has
// left the group, as daemons do, is not ours: it may hold the pipe for ever.
func (p *process) awaitOutput() {
	grace := time.NewTimer(outputGrace)
	defer grace.Stop()
	select {
	case <-p.drained:
		return
	case <-grace.C:
	}
	p.mu.Lock()
	asked := p.asked
	p.mu.Unlock()
	if !asked {
		return
	}
	tick := time.NewTicker(groupPoll)
	defer tick.Stop()
	for p.groupLives() {
		select {
		case <-p.drained:
			return
		case <-p.killed:
			return
		case <-tick.C:
		}
	}
}

const (
	// killedTime is what a killed group gets to be gone: what is stuck in the
	// kernel is left to it.
	killedTime = time.Second
	killedPoll = 5 * time.Millisecond
)

// awaitGroup waits for what was killed in the group: who is told that a process
// has ended finds nothing of it.
func (p *process) awaitGroup() {
	over := time.NewTimer(killedTime)
	defer over.Stop()
	tick := time.NewTicker(killedPoll)
	defer tick.Stop()
	for p.groupLives() {
		select {
		case <-over.C:
			return
		case <-tick.C:
		}
	}
}

// lifetime is a context that ends when the process is gone, or with cancel, which
// has to be called.
func (p *process) lifetime() (ctx context.Context, cancel context.CancelFunc) {
	ctx, cancel = context.WithCancel(context.Background())
	go func() {
		select {
		case <-p.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// deliver sends hello, if there is one, then what is put into the outbox, until the
// process is gone. Nothing else ends it: a configuration may be larger than a socket's
// buffer, and a program takes its time to load.
func (p *process) deliver(hello *control.Message) {
	if hello != nil && p.wire.Send(*hello) != nil {
		return
	}
	for {
		select {
		case <-p.gone:
			return
		case <-p.outbox.more:
		}
		for _, next := range p.outbox.take() {
			if p.carry(next) != nil {
				return
			}
		}
	}
}

// carry sends one order.
func (p *process) carry(next order) error {
	if next.sent != nil {
		close(next.sent)
		return nil
	}
	if next.before != nil {
		for topic, data := range next.before {
			if err := p.wire.Send(control.Message{Kind: control.KindTell, Topic: topic, Data: data}); err != nil {
				return err
			}
		}
	}
	return p.wire.Send(next.msg)
}

// post sends m, after what is to be told before it, without waiting for it. An external
// program understands signals only.
func (p *process) post(m control.Message, before Pieces) {
	if p.wire != nil {
		p.outbox.put(order{before: before, msg: m})
		return
	}
	switch {
	case m.Kind == control.KindStop && m.Mode == control.Force:
		p.signal(sigKill)
	case m.Kind == control.KindStop, m.Kind == control.KindDrain:
		p.signal(sigTerm)
	}
}

// IsExecutable returns why path cannot be run, or nil, so that a program that does not
// exist is an error when a configuration is loaded.
func IsExecutable(path string) error {
	_, err := exec.LookPath(path)
	return err
}
