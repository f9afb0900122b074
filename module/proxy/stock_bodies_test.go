// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/requestbody"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// received is what a backend got of a request's body.
type received struct {
	Body     string
	Length   int64
	Encoding []string
	Trailer  http.Header
}

// newReceiver is a backend that answers with what it received.
func newReceiver(t *testing.T) *backendServer {
	return newBackendServer(t, "receiver", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(received{string(body), r.ContentLength, r.TransferEncoding, r.Trailer})
	})
}

// TestBufferedBodies: with request_buffers of any size the backend that answers
// gets the whole body with its trailer, also when others failed before. That a
// body is buffered is no proof that it may be sent again.
func TestBufferedBodies(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	const text = "a body that is longer than the small buffer"
	fault := map[string]func() string{
		"no fault": func() string { return newReceiver(t).addr() },
		"refused":  func() string { return deadAddress(t) },
		"lost":     func() string { return newRawBackend(t, rawRequest.swallow).addr() },
	}
	for name, address := range fault {
		for _, buffers := range []int64{0, 4, 1 << 20, -1} {
			for _, method := range []string{"PUT", "POST"} {
				for _, trailer := range []http.Header{nil, {"X-Check": {"sum"}}} {
					t.Run(fmt.Sprintf("%s, %d bytes, %s, trailer %t", name, buffers, method, trailer != nil), func(t *testing.T) {
						second := newReceiver(t)
						p := newProxy(t, with("request_buffers", buffers), upstreams(address(), second.addr()))
						var body io.Reader = strings.NewReader(text)
						if trailer != nil {
							body = struct{ io.Reader }{body}
						}
						req, err := http.NewRequest(method, p.URL+"/path", body)
						if err != nil {
							t.Fatal(err)
						}
						req.Trailer = trailer.Clone()
						res, err := p.Client().Do(req)
						if err != nil {
							t.Fatal(err)
						}
						defer res.Body.Close()
						if name == "lost" && method == "POST" {
							if res.StatusCode != 502 || res.Header.Get(proxystatus.Header) == "" || second.count.Load() != 0 {
								t.Errorf("got %d, and sent again %d times", res.StatusCode, second.count.Load())
							}
							return
						}
						var got received
						if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
							t.Fatalf("got %d: %v", res.StatusCode, err)
						}
						if got.Body != text || got.Trailer.Get("X-Check") != trailer.Get("X-Check") {
							t.Errorf("the backend received %+v", got)
						}
						if trailer == nil && got.Length != int64(len(text)) {
							t.Errorf("the backend was told of %d bytes, want %d", got.Length, len(text))
						}
						p.nothingLeft()
					})
				}
			}
		}
	}
}

// swallow reads all of the request and closes.
func (r rawRequest) swallow() bool {
	_, _ = io.Copy(io.Discard, r.Body)
	return false
}

// TestBodyOverTheSitesLimit: where a site limits bodies, the client is told that
// its body is too large, whatever is buffered, and no backend is blamed.
func TestBodyOverTheSitesLimit(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	for _, buffers := range []int64{0, 4, -1} {
		t.Run(fmt.Sprintf("%d bytes buffered", buffers), func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				complete := make(chan string, 1)
				b := newBackendServer(t, "b", func(_ http.ResponseWriter, r *http.Request) {
					if body, err := io.ReadAll(r.Body); err == nil {
						complete <- string(body)
					}
				})
				p := newProxy(t, policy, with("request_buffers", buffers), upstreams(b.addr())).
					behind(requestbody.RequestBody{MaxSize: 10})
				req, err := http.NewRequest("POST", p.URL, struct{ io.Reader }{strings.NewReader("more than ten bytes")})
				if err != nil {
					t.Fatal(err)
				}
				res, err := p.Client().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				if res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("got %d, want 413", res.StatusCode)
				}
				select {
				case body := <-complete:
					t.Errorf("the backend took %q for the whole body", body)
				default:
				}
				p.nothingLeft()
				if p.policy != nil {
					if s := p.policy.claim.entry.pool.Status().Upstreams[0].State; s != "up" {
						t.Errorf("the backend is %s, want up", s)
					}
				}
			})
		})
	}
}

// TestIncrementalRequests: a body that must not be held back is refused where it
// would be buffered, and streams where it is not.
func TestIncrementalRequests(t *testing.T) {
	add := with("headers", map[string]any{"request": map[string]any{"set": map[string]any{"Incremental": []string{"?1"}}}})
	for _, tc := range []struct {
		name    string
		options []option
		header  string
		refused bool
	}{
		{"not buffered", nil, "?1", false},
		{"buffered", []option{with("request_buffers", 1024)}, "?1", true},
		{"buffered, not incremental", []option{with("request_buffers", 1024)}, "", false},
		{"made incremental", []option{add}, "", false},
		{"made incremental, buffered", []option{with("request_buffers", 1024), add}, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withAndWithout(t, func(t *testing.T, policy option) {
				b := newBackendServer(t, "b", nil)
				p := newProxy(t, append([]option{policy, upstreams(b.addr())}, tc.options...)...)
				for range 3 {
					a := p.do("POST", "body", "Incremental", tc.header)
					if refused := a.status == http.StatusNotImplemented; refused != tc.refused || !refused && a.body != "body" {
						t.Errorf("got %+v, want it refused: %t", a, tc.refused)
					}
				}
				if n := b.count.Load(); tc.refused && n != 0 {
					t.Errorf("sent %d times", n)
				}
				// Without content there is nothing to refuse.
				if a := p.do("GET", "", "Incremental", tc.header); a.status != http.StatusOK {
					t.Errorf("without content: %+v", a)
				}
				p.nothingLeft()
			})
		})
	}
}
