// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"time"
)

// process is one running process: what the operating system knows of a proc.
type process struct {
	id   int
	cmd  *exec.Cmd
	wire *wire // nil for an external program
	tail *tail
	// drained is closed when standard error was read to its end.
	drained chan struct{}
	stderr  *os.File
	// outbox holds what is to be sent, so that a child that does not read never
	// stops its supervisor.
	outbox chan message
	gone   chan struct{}
	// said is what the process gave as the reason of its coming exit.
	said atomic.Pointer[string]
}

const (
	// sendTimeout is how long a child may take to read a message of ours. One
	// that takes longer hangs, and the watchdog will find out.
	sendTimeout = 5 * time.Second
	// stderrGrace is how long the rest of a dead child's standard error may take,
	// when a grandchild keeps the pipe open.
	stderrGrace = 200 * time.Millisecond
)

// newProcess prepares a process with command, in the surroundings that spec gives.
func newProcess(id int, command []string, spec *Spec) *process {
	p := &process{
		id:      id,
		cmd:     exec.Command(command[0], command[1:]...),
		tail:    new(tail),
		drained: make(chan struct{}),
		outbox:  make(chan message, 256),
		gone:    make(chan struct{}),
	}
	p.cmd.Dir = spec.Dir
	p.cmd.Env = CleanEnv(spec.Env)
	return p
}

// startProcess spawns a process with a control connection. Everything it writes
// goes to stderr as well.
func startProcess(id int, spec *Spec, stderr io.Writer) (*process, error) {
	if len(spec.Command) == 0 {
		return nil, errors.New("creating child process: no command")
	}
	p := newProcess(id, spec.Command, spec)
	if err := p.setUser(spec.User); err != nil {
		return nil, err
	}
	release, err := p.connect()
	if err != nil {
		return nil, err
	}
	if err := p.start(stderr, release); err != nil {
		_ = p.wire.Close()
		return nil, err
	}
	return p, nil
}

// start runs the prepared command; release is called once it has inherited what
// it was given, or could not.
func (p *process) start(stderr io.Writer, release func()) error {
	defer release()
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
	go func() {
		defer close(p.drained)
		_, _ = io.Copy(io.MultiWriter(p.tail, stderr), read)
	}()
	return nil
}

// wait waits for the process to end. It is called once, by one goroutine.
func (p *process) wait() Exit {
	_ = p.cmd.Wait()
	close(p.gone)
	grace := time.NewTimer(stderrGrace)
	defer grace.Stop()
	select {
	case <-p.drained:
	case <-grace.C:
	}
	_ = p.stderr.Close()
	e := exitOf(p.cmd.ProcessState)
	e.Stderr = p.tail.String()
	return e
}

// deliver sends hello, then what is put into the outbox, until the process is gone.
func (p *process) deliver(hello message) {
	// The configuration may be larger than a socket's buffer, and a program
	// takes its time to load: only the process's end ends this.
	if p.wire.send(hello, 0) != nil {
		return
	}
	for {
		select {
		case <-p.gone:
			return
		case m := <-p.outbox:
			if p.wire.send(m, sendTimeout) != nil {
				return
			}
		}
	}
}

// post queues m. It never blocks: a child that left 256 messages unread hangs. An
// external program understands signals only.
func (p *process) post(m message) {
	if p.wire == nil {
		switch {
		case m.Kind == msgStop && m.Mode == Force:
			p.signal(sigKill)
		case m.Kind == msgStop, m.Kind == msgDrain:
			p.signal(sigTerm)
		}
		return
	}
	select {
	case p.outbox <- m:
	default:
	}
}
