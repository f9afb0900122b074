// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// runHeader numbers the requests of TestFaultAtEveryByte.
const runHeader = "X-Run"

// runBackend counts how often it began to execute each numbered request.
type runBackend struct {
	*httptest.Server
	mu       sync.Mutex
	executed map[string]int
}

func newRunBackend(t *testing.T, h2 bool) *runBackend {
	t.Helper()
	b := &runBackend{executed: make(map[string]int)}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get(runHeader); id != "" {
			b.mu.Lock()
			b.executed[id]++
			b.mu.Unlock()
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+2))
		_, _ = fmt.Fprintf(w, "%s\r\n", body)
	}))
	if h2 {
		b.Config.Protocols = new(http.Protocols)
		b.Config.Protocols.SetUnencryptedHTTP2(true)
	}
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// faultyRequest is a kind of request, and what the contract says of it.
type faultyRequest struct {
	name    string
	method  string
	body    string
	chunked bool
	header  []string
	options []option
	h2      bool
	reused  bool // the connection had carried a request before
	safe    bool // the method changes nothing: its errors are never in doubt
	again   bool // it may be sent again after something of it was written
}

// TestFaultAtEveryByte lets the connection of a request break after each byte of
// request and response. No request that may not be executed twice is; one that has
// no answer is in doubt if something of it had been written, and only then.
func TestFaultAtEveryByte(t *testing.T) {
	track := []option{set("track_messages", true)}
	// They compute more than they wait: with more of them a backend that is well
	// answers too late, and is found to hang.
	atOnce := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, tc := range []faultyRequest{
		{name: "GET", method: "GET", safe: true, again: true},
		{name: "GET on a used connection", method: "GET", safe: true, again: true, reused: true},
		{name: "POST", method: "POST", body: "some body"},
		{name: "POST without body", method: "POST"},
		{name: "POST on a used connection", method: "POST", body: "some body", reused: true},
		{name: "chunked POST", method: "POST", body: "some body", chunked: true},
		{name: "PUT", method: "PUT", body: "some body", again: true},
		{name: "PUT with If-Match", method: "PUT", body: "some body", header: []string{"If-Match", `"1"`}},
		{name: "tracked POST with key", method: "POST", body: "some body", header: []string{"Idempotency-Key", "1"}, options: track, again: true},
		{name: "POST with key", method: "POST", body: "some body", header: []string{"Idempotency-Key", "1"}},
		{name: "GET over HTTP/2", method: "GET", safe: true, again: true, h2: true},
		{name: "POST over HTTP/2", method: "POST", body: "some body", h2: true},
		{name: "POST without body over HTTP/2", method: "POST", h2: true},
		{name: "POST over a used HTTP/2 connection", method: "POST", body: "some body", h2: true, reused: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // each has a pool of its own, and no other test runs beside them
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			newFaultyRun(t, tc).all()
		})
	}
}

// faultyRun sends one kind of request with a fault at every byte.
type faultyRun struct {
	faultyRequest
	t           *testing.T
	first, then *runBackend
	p           *proxy
	in          *injector
	runs        int
	doubts      map[string]bool // what the client was told of those without an answer, by run
}

func newFaultyRun(t *testing.T, tc faultyRequest) *faultyRun {
	r := &faultyRun{faultyRequest: tc, t: t, first: newRunBackend(t, tc.h2), then: newRunBackend(t, tc.h2), doubts: make(map[string]bool)}
	options := append(tc.options, upstreams(r.first.Listener.Addr().String(), r.then.Listener.Addr().String()))
	if tc.h2 {
		options = append(options, h2c)
	}
	r.p = newProxy(t, options...)
	r.in = inject(r.p)
	return r
}

// all breaks the connection everywhere, then adds up who executed what.
func (r *faultyRun) all() {
	c, answered := r.send(connFault{kind: noFault})
	if !answered {
		r.t.Fatal("the request is not answered without a fault")
	}
	written, read := c.passed()
	for _, kind := range []faultKind{faultCut, faultReset, faultShort, faultStall} {
		for after := 0; after < written; after += r.step(kind) {
			r.one(connFault{kind: kind, after: after})
		}
		if kind == faultShort {
			continue
		}
		for after := 0; after < read; after += r.step(kind) {
			r.one(connFault{kind: kind, read: true, after: after})
		}
	}
	r.p.end()
	r.first.Close() // it waits for what it still executes
	r.then.Close()
	r.addUp()
}

// step is how many bytes lie between two faults.
func (r *faultyRun) step(kind faultKind) int {
	switch {
	case testing.Short():
		return 41
	case kind == faultCut:
		return 1
	}
	return 7
}

// one sends the request with one fault, and then lets the backend show that it is well.
func (r *faultyRun) one(f connFault) {
	r.send(f)
	res := r.p.do(http.MethodGet, "")
	if res.status != http.StatusOK {
		r.t.Errorf("%+v: the next request got %d: %s", f, res.status, res.body)
	}
}

// send sends the request once, and checks what its client is told.
func (r *faultyRun) send(f connFault) (*faultyConn, bool) {
	r.t.Helper()
	r.awaitBoth()
	r.p.policy.way.CloseIdle()
	c := r.in.arm(f)
	if r.reused {
		c.arm(connFault{kind: noFault})
		r.p.do(http.MethodGet, "")
		c.arm(f)
	}
	r.runs++
	id := fmt.Sprintf("%06d", r.runs)
	over := make(chan struct{})
	if f.kind == faultStall {
		go func() {
			select {
			case <-over:
			case <-c.broke():
				c.backend.Release(fault.ErrHung) // as the verdict that it hangs does
			}
		}()
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	if r.chunked {
		body = io.MultiReader(body) // of unknown length
	}
	req, err := http.NewRequestWithContext(r.t.Context(), r.method, r.p.URL+"/path", body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set(runHeader, id)
	for i := 0; i < len(r.header); i += 2 {
		req.Header.Set(r.header[i], r.header[i+1])
	}
	doubts := r.p.policy.claim.entry.counters.counts().InDoubt
	res, err := r.p.Client().Do(req)
	status, told, whole := 0, "", false
	if err == nil {
		var got []byte
		got, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
		status, told = res.StatusCode, res.Header.Get(proxystatus.Header)
		whole = err == nil && string(got) == r.body+"\r\n"
	}
	close(over)
	answered := status == http.StatusOK && whole
	if !answered {
		inDoubt := strings.Contains(told, proxystatus.InDoubt)
		if status != http.StatusOK && status != 0 {
			r.doubts[id] = inDoubt
			if n := r.p.policy.claim.entry.counters.counts().InDoubt - doubts; (n == 1) != inDoubt || n > 1 {
				r.t.Errorf("%+v: counted %d in doubt, told %q", f, n, told)
			}
		}
	}
	r.check(f, c, status, told, answered)
	return c, answered
}

// awaitBoth waits until no backend is down: a ping because of the request before may
// have been ended with that.
func (r *faultyRun) awaitBoth() {
	r.t.Helper()
	testwait.Until(r.t, "no backend is down", func() bool {
		return !slices.ContainsFunc(r.p.policy.claim.entry.pool.Status().Upstreams, func(u report.UpstreamStatus) bool { return u.State == "down" })
	})
}

// check compares what the client is told with the contract. What an HTTP/2
// connection carries is not the request alone, so less is known of its bytes.
func (r *faultyRun) check(f connFault, c *faultyConn, status int, told string, answered bool) {
	r.t.Helper()
	switch {
	case !c.isBroken():
		if !answered {
			r.t.Errorf("%+v: not answered without a fault: %d, %q", f, status, told)
		}
	case answered:
		if r.h2 || r.again {
			return
		}
		if f.read || f.after > 0 {
			r.t.Errorf("%+v: answered although it may have been executed before", f)
		}
	case status == 0 || status == http.StatusOK:
		if !f.read && !r.h2 {
			r.t.Errorf("%+v: the client got no error, but %d", f, status)
		}
	case !r.h2 && !f.read && f.after == 0 && f.kind != faultStall:
		r.t.Errorf("%+v: %d, %q for a request of which nothing was written", f, status, told)
	case r.again && !r.h2 && !f.read && (f.kind != faultStall || r.safe):
		r.t.Errorf("%+v: %d, %q for a request that may be sent again", f, status, told)
	case r.safe && strings.Contains(told, proxystatus.InDoubt):
		r.t.Errorf("%+v: a safe request is in doubt", f)
	case !r.safe && !r.h2 && !strings.Contains(told, proxystatus.InDoubt):
		r.t.Errorf("%+v: %d, %q does not say that it is in doubt", f, status, told)
	}
}

// addUp checks who executed what, over all runs.
func (r *faultyRun) addUp() {
	for i := range r.runs {
		id := fmt.Sprintf("%06d", i+1)
		first, then := r.first.executed[id], r.then.executed[id]
		inDoubt, failed := r.doubts[id]
		switch {
		case !r.again && first+then > 1:
			r.t.Errorf("run %s was executed %d and %d times", id, first, then)
		case then > 1 || first > 2 || first > 1 && !r.reused:
			r.t.Errorf("run %s was executed %d and %d times: each backend gets it once, and once more on a new connection", id, first, then)
		case failed && !r.safe && first+then > 0 && !inDoubt:
			r.t.Errorf("run %s was executed, and its client was not told that this is in doubt", id)
		}
	}
}
