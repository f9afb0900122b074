// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// HandedSockets are the held sockets.
type HandedSockets = []sockets.Handed

type handedWire = control.Handed

const (
	// settleEvery is how often a child is asked whether it can be handed over.
	settleEvery = 50 * time.Millisecond
	// parkTime bounds how long its readers and writers take to stand still.
	parkTime = 5 * time.Second
)

// HandOver makes the child stand still and returns what the next program goes on with.
// Until cancel is called, which makes everything go on here, no process is started or
// ended, and no request to the supervisor is carried out. It waits, as long as ctx
// allows, for replacements that are under way.
func (s *Supervisor) HandOver(ctx context.Context) (h *Handover, cancel func(), err error) {
	if err := s.freeze(ctx); err != nil {
		return nil, nil, err
	}
	var undo []func()
	cancel = func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
		s.put(inThaw{})
	}
	defer func() {
		if err != nil {
			cancel()
		}
	}()
	shown := make(chan frozen, 1)
	s.put(inShow{shown})
	var f frozen
	select {
	case f = <-shown:
	case <-s.done:
		return nil, nil, ErrClosed
	}
	h = f.handover
	for i, p := range f.processes {
		undone, err := p.handOver(&h.Processes[i])
		undo = append(undo, undone)
		if err != nil {
			return nil, nil, fmt.Errorf("handing over process %d: %w", h.Processes[i].Pid, err)
		}
	}
	if h.Sockets, err = s.sockets.HandOver(); err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() {
		for _, sock := range h.Sockets {
			sockets.CloseFD(sock.FD)
		}
	})
	return h, cancel, nil
}

// freeze returns when the machine is frozen.
func (s *Supervisor) freeze(ctx context.Context) error {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		err := s.ask(ctx, func(token int) input { return inFreeze{token} })
		switch {
		case err == nil, errors.Is(err, ErrHandingOver):
			return err
		case !errors.Is(err, ErrUnsettled):
			s.put(inThaw{}) // nobody waits for the answer any more, which may be that it is frozen
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// handOver holds up the goroutines of the process and fills in what is handed over of
// it. undo makes them go on.
func (p *process) handOver(h *HandedProcess) (undo func(), err error) {
	hold := &parking{heard: make(chan struct{}), drained: make(chan struct{}), over: make(chan struct{})}
	p.parking.Store(hold)
	undos := []func(){func() {
		p.parking.Store(nil)
		_ = p.stderr.SetReadDeadline(time.Time{})
		if p.wire != nil {
			p.wire.Resume()
		}
		close(hold.over)
	}}
	undo = func() {
		for _, f := range slices.Backward(undos) {
			f()
		}
	}
	limit := time.NewTimer(parkTime)
	defer limit.Stop()
	await := func(what string, still, ended <-chan struct{}) error {
		select {
		case <-still:
		case <-ended:
		case <-limit.C:
			return fmt.Errorf("its %s does not stand still", what)
		}
		return nil
	}
	if p.wire != nil {
		flushed := make(chan struct{})
		p.outbox.put(order{sent: flushed})
		if err := await("writer", flushed, p.gone); err != nil {
			return undo, err
		}
		undos = append(undos, p.wire.Still())
		p.wire.Pause()
		if err := await("reader", hold.heard, p.heard); err != nil {
			return undo, err
		}
		if h.Connection, err = p.wire.HandOver(); err != nil {
			return undo, err
		}
		undos = append(undos, func() { _ = unix.Close(h.Connection.FD) })
	}
	_ = p.stderr.SetReadDeadline(time.Unix(1, 0))
	if err := await("output", hold.drained, p.drained); err != nil {
		return undo, err
	}
	raw, err := p.stderr.SyscallConn()
	if err == nil {
		errControl := raw.Control(func(own uintptr) { h.Stderr, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3) })
		err = errors.Join(err, errControl)
	}
	if err != nil {
		return undo, fmt.Errorf("its output: %w", err)
	}
	undos = append(undos, func() { _ = unix.Close(h.Stderr) })
	if h.Page, err = p.handOverPage(); err != nil {
		return undo, fmt.Errorf("its account of requests: %w", err)
	}
	if h.Page != 0 {
		undos = append(undos, func() { _ = unix.Close(h.Page) })
	}
	h.Tail, h.UID, h.Watcher = p.tail.String(), p.uid, p.watcher.id()
	return undo, nil
}

// handOverPage returns another descriptor of the process's account; 0 is none.
func (p *process) handOverPage() (fd int, err error) {
	if p.page == nil {
		return 0, nil
	}
	raw, err := p.page.SyscallConn()
	if err != nil {
		return 0, err
	}
	errControl := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3) })
	if errors.Is(errControl, os.ErrClosed) {
		return 0, nil // it has just died, and the account was read
	}
	return fd, errors.Join(err, errControl)
}

// FDs are the descriptors that go with it.
func (h *Handover) FDs() (fds []int) {
	for _, p := range h.Processes {
		fds = append(fds, p.Stderr)
		if p.Page != 0 {
			fds = append(fds, p.Page)
		}
		if !p.Spec.External {
			fds = append(fds, p.Connection.FD)
		}
	}
	for _, s := range h.Sockets {
		fds = append(fds, s.FD)
	}
	return fds
}

// Resume goes on with the child that was handed over to the supervisor's [Config], and
// returns when a process of this program serves, or with the reason why none can: what
// served before goes on then. A child that was stopped stays so, with the new spec.
func (s *Supervisor) Resume(ctx context.Context, spec *Spec) error {
	if s.cfg.Handed.Stopped {
		s.Tune(nil, spec)
		return nil
	}
	return s.ask(ctx, func(token int) input { return inResume{s.cfg.Handed, spec, token} })
}

// adopt goes on with a process that was handed over, as launch does with a new one.
func (s *Supervisor) adopt(h *HandedProcess) input {
	own, err := os.FindProcess(h.Pid)
	if err != nil {
		return inExited{id: h.ID, exit: exits.Exit{Code: -1}, said: "it ended during the upgrade"}
	}
	p := emptyProcess(h.ID, h.Spec)
	p.uid, p.cmd = h.UID, &exec.Cmd{Process: own}
	_, _ = p.tail.Write([]byte(h.Tail))
	p.stderr = os.NewFile(uintptr(h.Stderr), "stderr")
	p.copyOutput(s.cfg.Stderr)
	if h.Page != 0 {
		p.page = os.NewFile(uintptr(h.Page), "account")
	} else if !h.Spec.External {
		p.pageless = account.ErrNone // the program before knew none
	}
	p.sample.begin(h.Pid)
	s.procs[p.id] = p
	if h.Spec.External {
		close(p.heard)
		p.watcher = adoptWatcher(h.Watcher)
		go s.awaitExternal(p, nil)
		go s.sample(p)
		return nil
	}
	if p.wire, err = control.Adopt(h.Connection); err != nil {
		p.signal(sigKill) // nothing can be said to it
		close(p.heard)
		go func() { s.put(inExited{id: p.id, exit: p.wait(), said: err.Error()}) }()
		return nil
	}
	go p.deliver(nil)
	go s.hear(p)
	go s.await(p)
	go s.sample(p)
	return nil
}

// adoptWatcher waits for a watcher that the program before has started. It ends its
// group, since the other end of its pipe is closed.
func adoptWatcher(pid int) *watcher {
	if pid == 0 {
		return nil
	}
	w := &watcher{pid: pid, over: make(chan struct{})}
	go func() {
		defer close(w.over)
		if own, err := os.FindProcess(pid); err == nil {
			_, _ = own.Wait()
		}
	}()
	return w
}

// holderOf holds the sockets of a child that was handed over, if there is one.
func holderOf(h *Handover) *sockets.Holder {
	if h == nil {
		return sockets.New()
	}
	return sockets.Adopt(h.Sockets)
}
