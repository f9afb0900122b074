// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// serveThrough serves HTTP from ln by way of rt until the test ends.
func serveThrough(t *testing.T, rt *childRuntime, ln net.Listener) {
	t.Helper()
	rt.activate()
	srv := &http.Server{ConnState: rt.connState, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	})}
	served := make(chan struct{})
	wrapped := rt.newListener(ln, net.ListenConfig{})
	go func() {
		defer close(served)
		_ = srv.Serve(wrapped)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-served
	})
}

// listenOn listens on TCP or on a unix socket of the test's own.
func listenOn(t *testing.T, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// A drain does not wait for connections that nobody uses, of whatever kind.
func TestDrainLetsUnusedConnectionsGo(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			rt := newChildRuntime(nil)
			ln := listenOn(t, network)
			serveThrough(t, rt, ln)
			silent, err := net.Dial(network, ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			testwait.Until(t, "the connection is counted", func() bool {
				counted := false
				rt.unused.Range(func(any, any) bool { counted = true; return true })
				return counted
			})
			if !rt.awaitConns(time.After(10*time.Second), 50*time.Millisecond) {
				t.Fatal("the drain was waiting for it")
			}
			if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the connection: %v, want %v", err, io.EOF)
			}
		})
	}
}

// A client that has sent something is not silent: neither one whose request is on
// its way, nor one whose bytes nobody has read yet.
func TestWhoSendsIsNotSilent(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			ln := listenOn(t, network)
			defer ln.Close()
			client, err := net.Dial(network, ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			const old, long = time.Hour, 200 * time.Millisecond
			accepted := time.Now().Add(-old)
			testwait.Until(t, "it is silent", func() bool { return silence(server, accepted) > long })
			if _, err := client.Write([]byte("G")); err != nil {
				t.Fatal(err)
			}
			testwait.Until(t, "the system has the byte", func() bool { return silence(server, accepted) == 0 })
			if _, err := server.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if network == "unix" {
				return // what was read is forgotten there
			}
			if s := silence(server, accepted); s > old/2 {
				t.Errorf("when the byte was read: silent for %s", s)
			}
			if s := silence(server, time.Now()); s > old/2 {
				t.Errorf("silent for %s, and just accepted", s)
			}
		})
	}
}
