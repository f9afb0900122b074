// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// wholeAnswer is all that a client sees of an answer.
type wholeAnswer struct {
	Status  int
	Header  http.Header
	Body    string
	Trailer http.Header
}

func (p *proxy) whole(method, body string) wholeAnswer {
	p.t.Helper()
	a, err := p.tryWhole(method, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *proxy) tryWhole(method, body string) (a wholeAnswer, err error) {
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, p.URL+"/path?secret", rd)
	if err != nil {
		return a, err
	}
	res, err := p.Client().Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	res.Header.Del("Date")
	return wholeAnswer{res.StatusCode, res.Header, string(b), res.Trailer}, err
}

// stockWhole is what a stock proxy passes on. Its server closes a request's body when it
// begins to answer, and now and then that is just when its transport looks for the end
// of that body, which costs it the rest of the answer: then it is asked again.
func (p *proxy) stockWhole(method, body string) (a wholeAnswer) {
	p.t.Helper()
	var err error
	for range 5 {
		if a, err = p.tryWhole(method, body); !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}

// unavailable answers 503 with all that an answer may have.
func unavailable(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	h := w.Header()
	h.Set("Trailer", "X-Sum")
	h.Set("Retry-After", "7")
	h.Set("Content-Type", "application/problem+json")
	h["X-Twice"] = []string{"1", "2"}
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, strings.Repeat("why ", 20_000))
	h.Set("X-Sum", "80000")
}

var rejected503 = expression("{http.reverse_proxy.status_code} == 503")

// TestAnswerAtHand: where a rejected response finds no better one, the client gets
// it as a stock proxy passes it on that rejects nothing.
func TestAnswerAtHand(t *testing.T) {
	for _, tc := range []struct {
		name   string
		others func(t *testing.T) []string
		method string
		body   string
	}{
		{"the only one", func(*testing.T) []string { return nil }, "GET", ""},
		{"the only one, HEAD", func(*testing.T) []string { return nil }, "HEAD", ""},
		{"the only one, POST", func(*testing.T) []string { return nil }, "POST", "order"},
		{"the other is down", func(t *testing.T) []string { return []string{deadAddress(t)} }, "GET", ""},
		{"the other is down, POST", func(t *testing.T) []string { return []string{deadAddress(t)} }, "POST", "order"},
		{"the others are lost", func(t *testing.T) []string {
			return []string{newRawBackend(t, swallow).addr(), newRawBackend(t, swallow).addr()}
		}, "GET", ""},
		{"the other has the same", func(t *testing.T) []string { return []string{newBackendServer(t, "b", unavailable).addr()} }, "GET", ""},
	} {
		for _, buffers := range []int{0, -1, 1000} {
			t.Run(tc.name, func(t *testing.T) {
				b := newBackendServer(t, "b", unavailable)
				buffered := with("response_buffers", buffers)
				stock := newProxy(t, lb("selection_policy", map[string]any{"policy": "first"}), buffered, upstreams(b.addr()))
				want := stock.stockWhole(tc.method, tc.body)
				if want.Status != 503 || tc.method != "HEAD" && (len(want.Body) != 80_000 || want.Trailer.Get("X-Sum") != "80000") {
					t.Fatalf("stock answers %d, %d bytes, %v", want.Status, len(want.Body), want.Trailer)
				}
				p := newProxy(t, rejected503, buffered, upstreams(append([]string{b.addr()}, tc.others(t)...)...)).quiet()
				if got := p.whole(tc.method, tc.body); !reflect.DeepEqual(got, want) {
					t.Errorf("got %d %v, %d bytes, %v\nwant %d %v, %d bytes, %v", got.Status, got.Header, len(got.Body), got.Trailer,
						want.Status, want.Header, len(want.Body), want.Trailer)
				}
				if n := p.errors.Load(); n != 0 {
					t.Errorf("the handler returned an error, which has no answer of a backend")
				}
				p.nothingLeft()
			})
		}
	}
}

// TestAnswerAtHandInDoubt: an unsafe request that another backend may have
// executed is in doubt, whatever the one at hand says.
func TestAnswerAtHandInDoubt(t *testing.T) {
	t.Run("lost before", func(t *testing.T) {
		lost, bad := newRawBackend(t, swallow), newBackendServer(t, "b", unavailable)
		p := newProxy(t, expression("{http.reverse_proxy.is_transport_error} == true || {http.reverse_proxy.status_code} == 503"),
			upstreams(lost.addr(), bad.addr()))
		a := p.do("POST", "order")
		wantStatus(t, a, 503, `caddy-broker; received-status=503; details="in-doubt"`, false)
		if len(a.body) != 80_000 {
			t.Errorf("got %d bytes of the answer", len(a.body))
		}
		wantDoubt(t, p, "POST", lost.addr())
		p.nothingLeft()
	})
	t.Run("lost after", func(t *testing.T) {
		bad, lost := newBackendServer(t, "b", unavailable), newRawBackend(t, swallow)
		p := newProxy(t, rejected503, upstreams(bad.addr(), lost.addr()))
		wantStatus(t, p.do("POST", "order"), 502, `caddy-broker; error=connection_terminated; details="in-doubt"`, false)
		wantDoubt(t, p, "POST", lost.addr())
		p.nothingLeft()
	})
}

// TestRejectedBeforeItIsRead: response_buffers makes Caddy read a response before
// it is matched, and the next backend gets the whole request all the same.
func TestRejectedBeforeItIsRead(t *testing.T) {
	for _, body := range []string{"", "order"} {
		bad, good := newBackendServer(t, "bad", unavailable), newBackendServer(t, "good", nil)
		p := newProxy(t, rejected503, with("response_buffers", -1), upstreams(bad.addr(), good.addr()))
		if a := p.do("POST", body); a.status != 200 || a.body != body {
			t.Errorf("got %+v", a)
		}
		p.nothingLeft()
	}
}

// TestRejectedForASlowHandshake: the next backend may take its time for a connection;
// only waiting for one that is free is short.
func TestRejectedForASlowHandshake(t *testing.T) {
	bad, insecure := tlsBackend(t, false, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	slow := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	slow.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		<-time.After(10 * briefly)
		return nil, nil
	}}
	slow.StartTLS()
	defer slow.Close()
	p := newProxy(t, rejected503, insecure, upstreams(bad.Listener.Addr().String(), slow.Listener.Addr().String())).quiet()
	if a := p.do("POST", "order"); a.status != 200 {
		t.Errorf("got %+v", a)
	}
}

// TestAnswerBeforeTheUpload: a response that came before the request was sent is
// not kept for longer than the upload goes on; the answer is the next failure, which
// leaves nothing in doubt.
func TestAnswerBeforeTheUpload(t *testing.T) {
	early := newBackendServer(t, "early", func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex() // or the server reads the request first
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = rc.Flush()
	})
	p := newProxy(t, rejected503, lb("retries", 1), upstreams(early.addr(), deadAddress(t))).quiet()
	body, upload := io.Pipe()
	defer upload.Close()
	go func() { _, _ = io.WriteString(upload, "the beginning") }()
	rec := httptest.NewRecorder()
	err := p.handler.ServeHTTP(rec, prepared(httptest.NewRequest("POST", "http://x/", body), "192.0.2.1:1234"), nil)
	var answer caddyhttp.HandlerError
	if got := rec.Header().Get(proxystatus.Header); !errors.As(err, &answer) || answer.StatusCode != 502 || got != "caddy-broker; error=connection_refused" {
		t.Errorf("got %v, Proxy-Status %q", err, got)
	}
}
