// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// stoppable has a site for each kind of connection that a stop meets.
const stoppable = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https disable_redirects
}
(sites) {
	handle /stream/* {
		reverse_proxy {$STREAMS} {
			lb_policy failover
		}
	}
	handle {
		reverse_proxy {$B1} {
			lb_policy failover
		}
	}
}
http://:{$PORT} {
	import sites
}
https://localhost:{$TLS} {
	tls internal
	import sites
}
`

// longest is what an end that comes at once may take on a busy machine; what it
// must not wait for would take several times that.
const longest = 3 * time.Second

// stopping is a broker that runs stoppable.
type stopping struct {
	*harness.Broker
	backends  []*harness.Backend
	streams   *streams
	port      string
	addr, tls string
	pid       int // of the child
}

func newStopping(t *testing.T) *stopping {
	t.Helper()
	backends, env := newBackends(t)
	start(t, backends[0])
	s := &stopping{backends: backends, streams: newStreams(t), port: freePort(t)}
	secure := freePort(t)
	s.addr, s.tls = "127.0.0.1:"+s.port, "127.0.0.1:"+secure
	s.Broker = startBroker(t, stoppable, append(env, "PORT="+s.port, "TLS="+secure, "STREAMS="+s.streams.addr)...)
	s.pid = awaitActive(t, s.Broker, 0)
	return s
}

// underWay sends one request over plain HTTP and returns when the backend
// executes it.
func (s *stopping) underWay(t *testing.T, name string, req harness.Request) *harness.Run {
	t.Helper()
	return underWay(t, s.backends, &harness.Client{Addr: s.addr}, name, req)
}

// stop asks for a stop in this mode; the answer comes when it is over.
func (s *stopping) stop(t *testing.T, mode string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Admin(t.Context(), http.MethodPost, "/broker/children/default/stop?mode="+mode, nil) }()
	return done
}

// soonGone wants that what was begun then took no longer than longest, and that
// the child is gone.
func (s *stopping) soonGone(t *testing.T, what string, begun time.Time) {
	t.Helper()
	took := time.Since(begun)
	t.Logf("%s took %s", what, took)
	if took > longest {
		t.Errorf("%s took %s", what, took)
	}
	s.gone(t)
}

// gone checks that the child was stopped at all.
func (s *stopping) gone(t *testing.T) {
	t.Helper()
	child, err := s.Child(t.Context(), "default")
	if err != nil || child.State != "stopped" {
		t.Errorf("after the stop the child is %+v (%v)", child, err)
	}
	if harness.Alive(s.pid) {
		t.Errorf("process %d lives after the stop", s.pid)
	}
	if err := harness.PortFree(s.port); err != nil {
		t.Errorf("after the stop: %v", err)
	}
}

// inDoubt are the requests that the broker lists as in doubt: method, path, and
// the id that the client gave.
func (s *stopping) inDoubt(t *testing.T) (listed []string) {
	t.Helper()
	var records []struct {
		Method, Path, Reason string
		RequestID            string `json:"request_id"`
	}
	if err := s.Admin(t.Context(), http.MethodGet, "/broker/in-doubt", &records); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if !strings.Contains(r.Reason, "stopped by force") {
			t.Errorf("request %s is in doubt because %q", r.RequestID, r.Reason)
		}
		listed = append(listed, r.Method+" "+r.Path+" "+r.RequestID)
	}
	return listed
}

// cut checks that the requests in progress were ended without an answer, and that
// the one that may have changed something is listed.
func (s *stopping) cut(t *testing.T, read, write *harness.Run) {
	t.Helper()
	for _, r := range append(read.Wait(), write.Wait()...) {
		if r.Fate != harness.EOF && r.Fate != harness.Reset {
			t.Errorf("%s: %s %d (%v), want a cut connection", r.ID, r.Fate, r.Status, r.Err)
		}
	}
	// Never with the query, which may hold secrets.
	if got, want := fmt.Sprint(s.inDoubt(t)), "[POST / write-0]"; got != want {
		t.Errorf("in doubt are %s, want %s", got, want)
	}
}

// end waits for the end of a connection on which nothing else is expected.
func end(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(soon):
		t.Fatalf("%s has not ended", what)
	}
}

// discard reads to the end, which is told.
func discard(r io.Reader) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r)
		ended <- err
	}()
	return ended
}
