// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	_ = stale.Close()

	s := New()
	lend := func(path string, perm uint32) error {
		fd, err := s.Lend(t.Context(), 1, os.Getuid(), "unix", path, perm)
		if err == nil {
			_ = unix.Close(fd)
		}
		return err
	}
	if err := lend(path, 0o640); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v (%v), want 0640", info.Mode(), err)
	}
	s.CloseAll()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end: %v, want no file", err)
	}

	// Somebody else's socket at the same path stays his.
	s.Open()
	if err := lend(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path)
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.CloseAll()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket: %v", err)
	}

	// What is no socket is not removed.
	s.Open()
	file := filepath.Join(dir, "data")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lend(file, 0o600); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening on a file: %v", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Error("the file is gone")
	}
}

func TestOtherNetworks(t *testing.T) {
	t.Parallel()
	s := New()
	defer s.CloseAll()
	for _, c := range []struct {
		network, address string
		want             string // in the error
	}{
		{"udp", "127.0.0.1:0", ""},
		{"tcp4", "127.0.0.1:0", ""},
		{"fd", "no", "not a number"},
		{"fd", "900", "inheriting descriptor 900: it is no listening or datagram socket"},
		{"sctp", "127.0.0.1:0", "unknown network"},
		{"tcp", "no-such-host.invalid:1", "no-such-host.invalid"},
		{"unix", filepath.Join(t.TempDir(), "a", "b"), "no such file"},
	} {
		fd, err := s.Lend(t.Context(), 1, os.Getuid(), c.network, c.address, 0o600)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s/%s: error %v, want %q", c.network, c.address, err, c.want)
		case c.want == "" && err != nil:
			t.Errorf("%s/%s: %v", c.network, c.address, err)
		}
		if err == nil {
			_ = unix.Close(fd)
		}
	}
}

// The owner may answer on a held socket; closing his listener leaves the queue.
func TestListenerOnHeldSocket(t *testing.T) {
	t.Parallel()
	s := New()
	defer s.CloseAll()
	fd, err := s.Lend(t.Context(), 1, os.Getuid(), "tcp", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, ok := s.Listener("tcp", "127.0.0.1:1"); ok {
		t.Error("a listener on a socket that is not held")
	}
	first, ok := s.Listener("tcp", "127.0.0.1:0")
	if !ok {
		t.Fatal("no listener")
	}
	conn, err := net.Dial("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = first.Close()
	second, ok := s.Listener("tcp", "127.0.0.1:0")
	if !ok {
		t.Fatal("no second listener")
	}
	defer second.Close()
	accepted, err := second.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if got, want := accepted.RemoteAddr().String(), conn.LocalAddr().String(); got != want {
		t.Errorf("accepted %s, want %s, who waited", got, want)
	}
}
