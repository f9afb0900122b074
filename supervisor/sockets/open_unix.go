// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// netSocket is a listener or a packet connection.
type netSocket interface {
	syscall.Conn
	io.Closer
}

// openSocket opens a socket as Caddy itself would: old unix sockets are unlinked first
// and new ones given their permissions, and SO_REUSEPORT is set, so that a plain
// configuration of this process can have the same address. Only the descriptor is kept, out
// of this process's poller: connections are none of its business.
func openSocket(ctx context.Context, key socketKey, uid int, perm uint32) (*socket, error) {
	if sock := store.take(key, perm); sock != nil {
		return sock, nil
	}
	sock, err := openNew(ctx, key, uid, perm)
	if err == nil {
		store.put(sock)
	}
	return sock, err
}

// openNew is openSocket where no earlier process has left the socket.
func openNew(ctx context.Context, key socketKey, uid int, perm uint32) (*socket, error) {
	sock := &socket{key: key, users: make(map[int]bool)}
	var opened netSocket
	var err error
	switch {
	case key.network == "fd":
		return sock, sock.keepInherited(key.address)
	case key.network == "unix":
		opened, sock.unlink, err = listenUnix(ctx, key.address, uid, perm)
	case strings.HasPrefix(key.network, "tcp"), strings.HasPrefix(key.network, "udp"):
		opened, err = openNet(ctx, key.network, key.address)
	default:
		err = fmt.Errorf("listening on %s: unknown network", key)
	}
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	rc, err := opened.SyscallConn()
	if err != nil {
		return nil, err
	}
	var keepErr error
	if err := rc.Control(func(fd uintptr) { keepErr = sock.keep(int(fd)) }); err != nil {
		return nil, err
	}
	return sock, keepErr
}

// listenNet opens a TCP or UDP socket with lc.
func listenNet(ctx context.Context, lc *net.ListenConfig, network, address string) (netSocket, error) {
	if strings.HasPrefix(network, "udp") {
		pc, err := lc.ListenPacket(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return pc.(netSocket), nil
	}
	ln, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return ln.(netSocket), nil
}

// lastBreath is how long the child of a parent that was killed may take to leave
// the sockets to the next parent.
const lastBreath = 3 * time.Second

// awaitFree asks whether an address is free until it is, and reports false when it is
// not after lastBreath, or when ctx has ended.
func awaitFree(ctx context.Context, free func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, lastBreath)
	defer cancel()
	tick := time.NewTicker(lastBreath / 60)
	defer tick.Stop()
	for !free() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// listenAbstract listens on a unix socket without a file.
func listenAbstract(ctx context.Context, name string) (ln *net.UnixListener, err error) {
	pid := 0
	free := awaitFree(ctx, func() bool {
		if ln, err = net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"}); !errors.Is(err, unix.EADDRINUSE) {
			return true
		}
		_, pid = served(name)
		return pid == os.Getpid()
	})
	if !free {
		return nil, servedError(name, pid)
	}
	return ln, err
}

// listenUnix returns the listener and the file that it made, if any.
func listenUnix(ctx context.Context, path string, uid int, perm uint32) (netSocket, fileID, error) {
	if abstract(path) {
		ln, err := listenAbstract(ctx, path)
		return ln, fileID{}, err
	}
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	place, err := placeSocketFile(path)
	if err != nil {
		return nil, fileID{}, err
	}
	defer place.close()
	if err := place.clear(ctx, uid); err != nil {
		return nil, fileID{}, err
	}
	ln, err := net.ListenUnix("unix", addr)
	if err != nil {
		return nil, fileID{}, err
	}
	ln.SetUnlinkOnClose(false)
	file, err := place.open(perm, -1, -1)
	if err != nil {
		_ = ln.Close()
		return nil, fileID{}, err
	}
	return ln, file, nil
}

func (s *socket) keep(fd int) error {
	dup, err := dupFD(fd)
	if err != nil {
		return fmt.Errorf("keeping socket %s: %w", s.key, err)
	}
	s.fd = dup
	return nil
}

// dup is another descriptor of the same socket. Plain numbers are used for them,
// because [os.File.Fd] may make a socket block for everyone who shares it.
func (s *socket) dup() (int, error) {
	fd, err := dupFD(s.fd)
	if err != nil {
		return -1, fmt.Errorf("lending socket %s: %w", s.key, err)
	}
	return fd, nil
}

func dupFD(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

func (s *socket) close() {
	store.forget(s.storedName())
	_ = unix.Close(s.fd)
	// Somebody else's file may be there by now: the plain configuration's, for one.
	if s.unlink == (fileID{}) {
		return
	}
	if place, err := placeSocketFile(s.key.address); err == nil {
		place.remove(s.unlink)
		place.close()
	}
}

func reusePort(network, address string, c syscall.RawConn) error {
	var err error
	if ctlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}); ctlErr != nil {
		return ctlErr
	}
	if err != nil {
		return fmt.Errorf("setting SO_REUSEPORT on %s/%s: %w", network, address, err)
	}
	return nil
}

// Listener returns a listener of one's own on a held socket, whose queue is
// everybody's; ok is false if there is no such socket. Closing it never drops
// the queue.
func (h *Holder) Listener(network, address string) (ln net.Listener, ok bool) {
	fd, ok := h.look(network, address)
	if !ok {
		return nil, false
	}
	file := os.NewFile(uintptr(fd), network+"/"+address)
	defer file.Close()
	ln, err := net.FileListener(file)
	if ul, isUnix := ln.(*net.UnixListener); isUnix {
		ul.SetUnlinkOnClose(false)
	}
	return ln, err == nil
}

// CloseFD closes a descriptor that was lent.
func CloseFD(fd int) { _ = unix.Close(fd) }
