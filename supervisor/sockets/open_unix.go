// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openSocket opens a socket as Caddy itself would: with SO_REUSEPORT, old unix
// sockets unlinked first and new ones given their permissions. Only the descriptor is kept, out
// of this process's poller: connections are none of its business.
func openSocket(ctx context.Context, key socketKey, uid int, perm uint32) (*socket, error) {
	sock := &socket{key: key, users: make(map[int]bool)}
	var raw syscall.Conn
	var closer interface{ Close() error }
	lc := net.ListenConfig{Control: reusePort}
	switch {
	case key.network == "fd":
		return sock, sock.keepInherited(key.address)
	case strings.HasPrefix(key.network, "udp"):
		pc, err := lc.ListenPacket(ctx, key.network, key.address)
		if err != nil {
			return nil, err
		}
		raw, closer = pc.(syscall.Conn), pc
	case key.network == "unix":
		ln, file, err := listenUnix(key.address, uid, perm)
		if err != nil {
			return nil, err
		}
		sock.unlink = file
		raw, closer = ln, ln
	case strings.HasPrefix(key.network, "tcp"):
		ln, err := lc.Listen(ctx, key.network, key.address)
		if err != nil {
			return nil, err
		}
		raw, closer = ln.(syscall.Conn), ln
	default:
		return nil, fmt.Errorf("listening on %s: unknown network", key)
	}
	defer closer.Close()
	rc, err := raw.SyscallConn()
	if err != nil {
		return nil, err
	}
	var keepErr error
	if err := rc.Control(func(fd uintptr) { keepErr = sock.keep(int(fd)) }); err != nil {
		return nil, err
	}
	return sock, keepErr
}

// listenUnix returns the listener and the file that it made, if any.
func listenUnix(path string, uid int, perm uint32) (*net.UnixListener, fileID, error) {
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	if abstract(path) {
		ln, err := net.ListenUnix("unix", addr)
		return ln, fileID{}, err
	}
	place, err := placeSocketFile(path)
	if err != nil {
		return nil, fileID{}, err
	}
	defer place.close()
	if err := place.clear(uid); err != nil {
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
