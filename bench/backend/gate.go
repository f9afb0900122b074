// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package backend

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// listenQueue is the backlog of a listener that serves.
	listenQueue = 4096
	// silence is how long a dial goes unanswered when the queue is full; on
	// loopback an answer takes microseconds.
	silence = 300 * time.Millisecond
)

// gate is a listener that can close what it accepts, and that can stop accepting
// with its queue full.
type gate struct {
	*net.TCPListener
	closing func() bool // whether to close each new connection

	mu    sync.Mutex
	shut  chan struct{} // by mu; closed when accepting goes on; nil while it does
	conns map[net.Conn]struct{}
	full  []net.Conn    // by mu; ours, they fill the queue
	late  chan net.Conn // were in the queue when the gate was shut
}

func newGate(l *net.TCPListener, closing func() bool) *gate {
	return &gate{TCPListener: l, closing: closing, conns: map[net.Conn]struct{}{}, late: make(chan net.Conn, listenQueue)}
}

// Accept waits while the gate is shut.
func (g *gate) Accept() (net.Conn, error) {
	for {
		g.mu.Lock()
		shut := g.shut
		g.mu.Unlock()
		if shut != nil {
			select {
			case conn := <-g.late:
				return conn, nil
			case <-shut:
				continue
			}
		}
		conn, err := g.AcceptTCP()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue // the gate was shut meanwhile
		}
		if err == nil && g.closing() {
			_ = conn.Close()
			continue
		}
		return conn, err
	}
}

// drop shuts the gate and fills its queue, so that the kernel drops the packets
// of everybody else, or opens it again. Who had a place in the queue before is
// served: a connection that is never answered would be another fault.
func (g *gate) drop(on bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case on && g.shut == nil:
		g.shut = make(chan struct{})
		if err := errors.Join(g.SetDeadline(time.Unix(1, 0)), g.backlog(0)); err != nil {
			return err
		}
		for {
			// A queue of length 0 has one place, which has to be ours.
			if len(g.full) == 0 {
				if err := g.empty(); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), silence)
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", g.Addr().String())
			cancel()
			switch {
			case err == nil:
				g.full = append(g.full, conn)
			case len(g.full) > 0:
				return nil
			}
		}
	case !on && g.shut != nil:
		for _, conn := range g.full {
			_ = conn.Close()
		}
		g.full = nil
		err := errors.Join(g.backlog(listenQueue), g.SetDeadline(time.Time{}))
		close(g.shut)
		g.shut = nil
		return err
	}
	return nil
}

// empty takes all connections out of the queue, for Accept.
func (g *gate) empty() error {
	raw, err := g.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var fd int
		var accept error
		// Control heeds no deadline, and nobody else accepts meanwhile.
		err := raw.Control(func(l uintptr) {
			fd, _, accept = syscall.Accept4(int(l), syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
		})
		if errors.Is(accept, syscall.EAGAIN) {
			return nil
		}
		if err = errors.Join(err, accept); err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), "")
		conn, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			return err
		}
		g.late <- conn
	}
}

// backlog changes the length of the queue; Linux lets listen be called again.
func (g *gate) backlog(n int) error {
	raw, err := g.SyscallConn()
	if err != nil {
		return err
	}
	var listen error
	err = raw.Control(func(fd uintptr) { listen = syscall.Listen(int(fd), n) })
	return errors.Join(err, listen)
}

// track is a hook of http.Server.
func (g *gate) track(conn net.Conn, state http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateNew:
		g.conns[conn] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		delete(g.conns, conn)
	}
}

// closeAll closes all connections, also those with a request in progress.
func (g *gate) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.conns {
		_ = conn.Close()
	}
}
