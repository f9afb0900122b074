// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tap is a connection that can be made to fail, and notes what is done to it.
type tap struct {
	net.Conn
	writes  atomic.Int64
	refuses atomic.Bool // writes, with nothing written
	closed  chan struct{}
}

var errRefused = errors.New("refused")

func (c *tap) Write(p []byte) (int, error) {
	if c.refuses.Load() {
		return 0, errRefused
	}
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *tap) Close() error {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	return c.Conn.Close()
}

// tapped is a transport whose connections are taps, which it passes on.
func tapped(t *testing.T) (*http.Transport, chan *tap) {
	t.Helper()
	taps := make(chan *tap, 16)
	tr := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		tc := &tap{Conn: c, closed: make(chan struct{})}
		taps <- tc
		return tc, nil
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return tr, taps
}

// send does one round trip and reads the answer.
func send(tr http.RoundTripper, r *http.Request) error {
	res, err := tr.RoundTrip(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// patient is a server that answers nothing until the test ends.
func patient(t *testing.T) *httptest.Server {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(over) })
	return s
}

func TestARoundTripCanBeEndedWithoutAContext(t *testing.T) {
	s := patient(t)
	tr := new(http.Transport)
	t.Cleanup(tr.CloseIdleConnections)
	wrote := make(chan struct{})
	r, err := http.NewRequest(http.MethodGet, s.URL, nil) //nolint:noctx // that is the point
	if err != nil {
		t.Fatal(err)
	}
	r = r.WithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { close(wrote) },
	}))
	done := make(chan error, 1)
	go func() { done <- send(tr, r) }()
	<-wrote
	EndRoundTrip(tr, r)
	if err := <-done; err == nil {
		t.Error("the round trip was answered")
	}
}

func TestAConnectionIsAnnouncedBeforeItIsUsed(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	tr, taps := tapped(t)
	// The same goroutine can be told by what it may do: it holds what the round
	// trip needs, so that a round trip which went on elsewhere would be seen.
	var before atomic.Int64
	returned := make(chan struct{})
	r := newRequest(t, http.MethodGet, s.URL, nil)
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			before.Store(info.Conn.(*tap).writes.Load())
			select {
			case <-returned:
				t.Error("the connection was announced after the round trip")
			default:
			}
		},
	}))
	if err := send(tr, r); err != nil {
		t.Fatal(err)
	}
	close(returned)
	if n := (<-taps).writes.Load(); before.Load() != 0 || n == 0 {
		t.Errorf("%d writes before the connection was announced, %d in all", before.Load(), n)
	}
}

func TestAnUnwrittenRequestGoesElsewhere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	tr, taps := tapped(t)
	if err := send(tr, newRequest(t, http.MethodGet, s.URL, nil)); err != nil {
		t.Fatal(err)
	}
	first := <-taps
	first.refuses.Store(true)
	if err := send(tr, newRequest(t, http.MethodPost, s.URL, strings.NewReader("body"))); err != nil {
		t.Errorf("a POST of which nothing was written was not sent on another connection: %v", err)
	}
	select {
	case second := <-taps:
		if second.writes.Load() == 0 {
			t.Error("the second connection was not written to")
		}
	default:
		t.Error("no second connection was made")
	}
}

func TestAFailedWriteClosesTheConnection(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	tr, taps := tapped(t)
	r := newRequest(t, http.MethodPost, s.URL, strings.NewReader("body"))
	r.GetBody = nil
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { info.Conn.(*tap).refuses.Store(true) },
	}))
	// The error is that of the write, or of the read that the end of the connection has ended:
	// net/http does not say which comes first.
	if err := send(tr, r); !errors.Is(err, errRefused) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want the error of the write or of the closed connection", err)
	}
	<-(<-taps).closed
}

func TestGetBodyMeansAgain(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer s.Close()
	tr, taps := tapped(t)
	var asked int
	post := func() {
		t.Helper()
		r := newRequest(t, http.MethodPost, s.URL, strings.NewReader("body"))
		r.GetBody = func() (io.ReadCloser, error) {
			asked++
			return io.NopCloser(strings.NewReader("body")), nil
		}
		if err := send(tr, r); err != nil {
			t.Fatal(err)
		}
	}
	post()
	post()
	if asked != 0 {
		t.Errorf("GetBody was called %d times without another attempt", asked)
	}
	(<-taps).refuses.Store(true)
	post()
	if asked != 1 {
		t.Errorf("GetBody was called %d times for one more attempt", asked)
	}
}

func TestADialCallsTheHooksOfItsContext(t *testing.T) {
	var outer, inner atomic.Int64
	hooks := func(n *atomic.Int64) context.Context {
		return httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			ConnectDone: func(string, string, error) { n.Add(1) },
		})
	}
	ctx := overlay{hooks(&outer), hooks(&inner)}
	if c, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1"); err == nil {
		_ = c.Close()
	}
	if outer.Load() != 0 || inner.Load() != 1 {
		t.Errorf("hooks of the context were called %d times, those in front of it %d times, want 0 and 1", outer.Load(), inner.Load())
	}
}

// overlay finds the values of another context before its own.
type overlay struct {
	context.Context
	front context.Context
}

func (o overlay) Value(key any) any {
	if v := o.front.Value(key); v != nil {
		return v
	}
	return o.Context.Value(key)
}

// answering is a transport to a server that answers every request with text.
func answering(t *testing.T, text string) (*http.Transport, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, text)
				}
			}()
		}
	}()
	tr := &http.Transport{MaxResponseHeaderBytes: 1 << 10}
	t.Cleanup(tr.CloseIdleConnections)
	return tr, "http://" + l.Addr().String()
}

func TestErrorsAreKnownByTheirText(t *testing.T) {
	tr, url := answering(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<13)+"\r\n\r\n")
	if err := send(tr, newRequest(t, http.MethodGet, url, nil)); err == nil || !HeaderTooLarge(err) || Malformed(err) {
		t.Errorf("a large header: %v", err)
	}
	for _, text := range []string{"nonsense\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno field\r\n\r\n"} {
		tr, url := answering(t, text)
		if err := send(tr, newRequest(t, http.MethodGet, url, nil)); err == nil || !Malformed(err) || HeaderTooLarge(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestARequestRecordIsLargerThanAnAlert(t *testing.T) {
	for _, version := range tlsVersions {
		t.Run(version.name, func(t *testing.T) {
			client, writes := handshake(t, version.id)
			writes.reset()
			var request bytes.Buffer
			r := newRequest(t, http.MethodGet, "https://a/", nil)
			r.Header.Set("User-Agent", "")
			if err := r.Write(&request); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write(request.Bytes()); err != nil {
				t.Fatal(err)
			}
			if all := writes.all(); len(all) != 1 || !RequestRecord(all[0]) {
				t.Errorf("the shortest request was written as %d records, known as one: %t", len(all), len(all) > 0 && RequestRecord(all[0]))
			}
			writes.reset()
			_ = client.Close()
			for _, p := range writes.all() {
				if RequestRecord(p) {
					t.Errorf("an alert of %d bytes is taken for a part of a request", len(p))
				}
			}
			if len(writes.all()) == 0 {
				t.Error("no alert was written")
			}
		})
	}
}

// soon bounds waits for what other goroutines do.
const soon = 10 * time.Second

func TestARequestWithoutAHostHasNoHandler(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	handled := false
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { handled = true }))
	server.Config.ErrorLog = stdlog.New(&log, "", 0)
	server.Start()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, HandlerlessRequest); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	server.Close() // from here on it writes nothing
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400 ")) || handled || log.Len() > 0 {
		t.Errorf("answer %q, %v; a handler had it: %v; logged %q", answer, err, handled, &log)
	}
}
