// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// An immediate stop lets a request finish, ends at once what would never end, and
// waits for nothing else.
func TestImmediateStop(t *testing.T) {
	t.Parallel()
	s := newStopping(t)
	clients := &streamClients{addr: s.addr}
	events, eventsReader, err := clients.open(t.Context(), "Accept: text/event-stream\r\n", http.StatusOK)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	socket, socketReader, err := clients.open(t.Context(), "Connection: Upgrade\r\nUpgrade: websocket\r\n", http.StatusSwitchingProtocols)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	idle := &harness.Client{Addr: s.addr, KeepAlive: true}
	defer idle.Close()
	if res := idle.Do(t.Context(), "idle", time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK {
		t.Fatal(res.Err)
	}
	request := s.streams.hold(t, s.addr)

	stopped := s.stop(t, "immediate")
	end(t, "the event stream", discard(eventsReader))
	end(t, "the WebSocket", discard(socketReader))
	if request.InFlight() != 1 {
		t.Error("the stop cut the request")
	}
	s.streams.release()
	results := request.Wait()
	if len(results.Failed()) > 0 {
		t.Errorf("the request: %s", results)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	s.soonGone(t, "the stop, from the end of the request on,", results[0].End)
	if listed := s.inDoubt(t); len(listed) > 0 {
		t.Errorf("in doubt are %s, though nothing was cut", listed)
	}
	operate(t, s.Broker, "start")
	get(t, s.addr)
}

// openUnused opens a connection that is not used, and one with TLS for each of
// these protocols.
func (s *stopping) openUnused(t *testing.T, protocols ...string) {
	t.Helper()
	awaitTLS(t, s.tls)
	silent, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for _, protocol := range protocols {
		config := insecure.Clone()
		config.NextProtos = []string{protocol}
		conn, err := tls.Dial("tcp", s.tls, config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	get(t, s.addr) // which was accepted after the others
}

// Connections on which no request ever came, as browsers open them in advance,
// do not delay a stop.
func TestUnusedConnectionsDoNotDelayAStop(t *testing.T) {
	t.Parallel()
	s := newStopping(t)
	s.openUnused(t, "http/1.1", "h2")
	begun := time.Now()
	operate(t, s.Broker, "stop")
	s.soonGone(t, "the stop", begun)
}

// Nor do they keep a process that was replaced until drain_timeout is over.
func TestUnusedConnectionsDoNotDelayAReplacement(t *testing.T) {
	t.Parallel()
	s := newStopping(t)
	s.openUnused(t, "http/1.1")
	begun := time.Now()
	operate(t, s.Broker, "restart")
	if err := awaitEnd(t, s.pid); err != nil {
		t.Error(err)
	}
	t.Logf("the process that was replaced ended after %s", time.Since(begun))
}

// A forced stop cuts everything, and what may have been executed is listed.
func TestForcedStop(t *testing.T) {
	t.Parallel()
	s := newStopping(t)
	read := s.underWay(t, "read", harness.Request{Method: "GET", Path: "/?delay=60s"})
	write := s.underWay(t, "write", harness.Request{Method: "POST", Path: "/?delay=60s"})
	begun := time.Now()
	if out, err := s.Run(t.Context(), "broker", "stop", "--mode", "force", "--address", s.AdminAddr()); err != nil {
		t.Fatalf("caddy broker stop: %v\n%s", err, out)
	}
	s.soonGone(t, "the forced stop, the command's own start included,", begun)
	s.cut(t, read, write)
}

// An immediate stop that waits for a request is turned into a forced one.
func TestImmediateStopTurnedIntoForce(t *testing.T) {
	t.Parallel()
	s := newStopping(t)
	read := s.underWay(t, "read", harness.Request{Method: "GET", Path: "/?delay=60s"})
	write := s.underWay(t, "write", harness.Request{Method: "POST", Path: "/?delay=60s"})
	immediate := s.stop(t, "immediate")
	if _, err := s.AwaitChild(t.Context(), "default", func(c *harness.Child) bool { return c.State == "stopping" }); err != nil {
		t.Fatal(err)
	}
	if read.InFlight() != 1 || write.InFlight() != 1 {
		t.Error("the immediate stop cut the requests")
	}
	begun := time.Now()
	operate(t, s.Broker, "stop?mode=force")
	if err := <-immediate; err != nil {
		t.Error(err)
	}
	s.soonGone(t, "the forced stop", begun)
	s.cut(t, read, write)
}
