// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openSocket opens a socket as Caddy itself would: with SO_REUSEPORT, unix paths
// unlinked first and given their permissions. Only the descriptor is kept, out
// of this process's poller: connections are none of its business.
func openSocket(key socketKey, perm uint32) (*socket, error) {
	sock := &socket{key: key, users: make(map[int]bool)}
	var raw syscall.Conn
	var closer interface{ Close() error }
	lc := net.ListenConfig{Control: reusePort}
	switch {
	case key.network == "fd":
		n, err := strconv.Atoi(key.address)
		if err != nil {
			return nil, fmt.Errorf("inheriting descriptor %q: not a number", key.address)
		}
		return sock, sock.keep(n)
	case strings.HasPrefix(key.network, "udp"):
		pc, err := lc.ListenPacket(context.Background(), key.network, key.address)
		if err != nil {
			return nil, err
		}
		raw, closer = pc.(syscall.Conn), pc
	case key.network == "unix":
		ln, err := listenUnix(key.address, perm)
		if err != nil {
			return nil, err
		}
		if !abstract(key.address) {
			sock.unlink, _ = os.Lstat(key.address)
		}
		raw, closer = ln, ln
	case strings.HasPrefix(key.network, "tcp"):
		ln, err := lc.Listen(context.Background(), key.network, key.address)
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

func listenUnix(path string, perm uint32) (*net.UnixListener, error) {
	if !abstract(path) {
		// A socket file stays behind when its program was killed.
		if old, err := os.Lstat(path); err == nil && old.Mode().Type() == fs.ModeSocket {
			if err := unix.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("removing old socket %s: %w", path, err)
			}
		}
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if !abstract(path) {
		if err := os.Chmod(path, fs.FileMode(perm)); err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("unable to set permissions (%s) on %s: %w", fs.FileMode(perm), path, err)
		}
	}
	return ln, nil
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
	if s.unlink == nil {
		return
	}
	if there, err := os.Lstat(s.key.address); err == nil && os.SameFile(s.unlink, there) {
		_ = unix.Unlink(s.key.address)
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

func abstract(path string) bool {
	return strings.HasPrefix(path, "@") && (runtime.GOOS == "linux" || runtime.GOOS == "android")
}

// Listener returns a listener of one's own on a held socket, whose queue is
// everybody's; ok is false if there is no such socket. Closing it never drops
// the queue.
func (s *Sockets) Listener(network, address string) (ln net.Listener, ok bool) {
	fd, ok := s.look(network, address)
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
