// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

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
	"testing"

	"golang.org/x/sys/unix"
)

// bindsMain takes the network and address that its arguments name in a process of its
// own, which is no child of the test's, and says its id and address. With the third one
// "share" it shares the address with those who do so, as Caddy does.
func bindsMain() int {
	network, address, share := os.Args[1], os.Args[2], os.Args[3]
	if len(os.Args) == 4 {
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		attr := &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}}
		p, err := os.StartProcess(self, []string{self, network, address, share, "inner"}, attr)
		if err == nil {
			_, err = p.Wait()
		}
		if err != nil {
			panic(err)
		}
		return 0
	}
	lc := new(net.ListenConfig)
	if share == "share" {
		lc.Control = reusePort
	}
	sock, err := listenNet(context.Background(), lc, network, address)
	if err != nil {
		panic(err)
	}
	fmt.Println(os.Getpid(), addrOf(sock))
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = sock.Close()
	return 0
}

func addrOf(sock netSocket) net.Addr {
	if pc, ok := sock.(net.PacketConn); ok {
		return pc.LocalAddr()
	}
	return sock.(net.Listener).Addr()
}

// otherBound starts a program that has an address, and returns its id, its port, and
// what ends it.
func otherBound(t *testing.T, network, address, share string) (pid, port string, end func()) {
	t.Helper()
	line, end := otherProgram(t, "binds", nil, network, address, share)
	pid, addr, _ := strings.Cut(line, " ")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return pid, port, end
}

func lendNet(ctx context.Context, h *Holder, network, address string) error {
	fd, err := h.Lend(ctx, 1, os.Getuid(), network, address, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// An address of which another program has a share is refused, with its id; when that
// program leaves, the address is had.
func TestAddressOfAnotherProgram(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, network, theirs, ours, share string }{
		{"same", "tcp", "127.0.0.1:0", "127.0.0.1", "share"},
		{"not shared", "tcp", "127.0.0.1:0", "127.0.0.1", "no"},
		{"under a wildcard", "tcp", "127.0.0.1:0", "", "share"},
		{"IPv4 wildcard", "tcp4", "0.0.0.0:0", "127.0.0.1", "share"},
		{"wildcard over an address", "tcp", ":0", "127.0.0.1", "share"},
		{"datagrams", "udp", "127.0.0.1:0", "127.0.0.1", "share"},
		{"datagrams under a wildcard", "udp", "127.0.0.1:0", "", "share"},
		{"IPv6", "tcp6", "[::1]:0", "::1", "share"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pid, port, end := otherBound(t, tt.network, tt.theirs, tt.share)
			address := net.JoinHostPort(tt.ours, port)
			h := New()
			t.Cleanup(h.CloseAll)

			brief, cancel := context.WithTimeout(t.Context(), lastBreath/6)
			defer cancel()
			err := lendNet(brief, h, tt.network, address)
			if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "process "+pid+" (") || !strings.Contains(err.Error(), ":"+port) {
				t.Errorf("got %v, want the address refused, with process %s", err, pid)
			}
			brief, cancel = context.WithTimeout(t.Context(), lastBreath/6)
			defer cancel()
			if err := Available(brief, tt.network, address); err == nil || !strings.Contains(err.Error(), pid) {
				t.Errorf("available: %v", err)
			}
			end()
			if err := Available(t.Context(), tt.network, address); err != nil {
				t.Errorf("when the program has ended: %v", err)
			}
			if err := lendNet(t.Context(), h, tt.network, address); err != nil {
				t.Errorf("when the program has ended: %v", err)
			}
		})
	}
}

// The child of a parent that was killed gets the time to leave.
func TestAddressIsAwaited(t *testing.T) {
	t.Parallel()
	_, port, end := otherBound(t, "tcp", "127.0.0.1:0", "share")
	h := New()
	t.Cleanup(h.CloseAll)
	lent := make(chan error, 1)
	go func() { lent <- lendNet(t.Context(), h, "tcp", "127.0.0.1:"+port) }()
	end()
	if err := <-lent; err != nil {
		t.Error(err)
	}
}

// What this process has itself is no hindrance: other addresses of the same port, those
// of another child, and those of a plain configuration.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		first, second := New(), New()
		t.Cleanup(first.CloseAll)
		t.Cleanup(second.CloseAll)
		plain, err := listenNet(t.Context(), &net.ListenConfig{Control: reusePort}, network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		_, port, _ := net.SplitHostPort(addrOf(plain).String())
		for _, address := range []string{"127.0.0.1:" + port, ":" + port, "127.0.0.2:" + port} {
			for _, h := range []*Holder{first, second} {
				if err := lendNet(t.Context(), h, network, address); err != nil {
					t.Errorf("%s/%s: %v", network, address, err)
				}
			}
			if err := Available(t.Context(), network, address); err != nil {
				t.Errorf("%s/%s is not available to the one that has it: %v", network, address, err)
			}
		}
		// A plain configuration can take over what is held.
		again, err := listenNet(t.Context(), &net.ListenConfig{Control: reusePort}, network, "127.0.0.1:"+port)
		if err != nil {
			t.Errorf("sharing %s: %v", network, err)
			continue
		}
		_ = again.Close()
	}
}

func TestProcAddress(t *testing.T) {
	t.Parallel()
	if a, ok := parseProcAddress("garbage"); ok {
		t.Errorf("garbage is %v", a)
	}
	if a, ok := parseProcAddress("00000000:1F90"); !ok || a.String() != "0.0.0.0:8080" {
		t.Errorf("got %v", a)
	}
}
