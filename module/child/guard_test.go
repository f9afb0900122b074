// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// guarded serves one request through the guard of rt.
func guarded(t *testing.T, rt *childRuntime, r *http.Request, h caddyhttp.HandlerFunc) (*httptest.ResponseRecorder, error) {
	t.Helper()
	runtime.Store(rt)
	t.Cleanup(func() { runtime.Store(nil) })
	r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
	w := httptest.NewRecorder()
	return w, Guard{}.ServeHTTP(w, r, h)
}

func TestGuardTellsClientsToMove(t *testing.T) {
	for _, c := range []struct {
		name string
		h    caddyhttp.HandlerFunc
	}{
		{"header", func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusTeapot); return nil }},
		{"a handler that removes it", func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Del("Connection")
			w.WriteHeader(http.StatusOK)
			return nil
		}},
		{"after an informational answer", func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
			return nil
		}},
		{"body", func(w http.ResponseWriter, _ *http.Request) error { _, err := io.WriteString(w, "x"); return err }},
		{"copied body", func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.Copy(w, strings.NewReader("x"))
			return err
		}},
		{"flush", func(w http.ResponseWriter, _ *http.Request) error { return http.NewResponseController(w).Flush() }},
		{"nothing", func(http.ResponseWriter, *http.Request) error { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := newChildRuntime(nil)
			runtime.Store(rt)
			defer runtime.Store(nil)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
				if err := (Guard{}).ServeHTTP(w, r, c.h); err != nil {
					t.Error(err)
				}
			}))
			defer srv.Close()
			for _, closing := range []bool{false, true} {
				rt.closing.Store(closing)
				resp, err := http.Get(srv.URL)
				if err != nil {
					t.Fatal(err)
				}
				_ = resp.Body.Close()
				if resp.Close != closing {
					t.Errorf("draining %v: Connection: close %v", closing, resp.Close)
				}
			}
		})
	}
}

func TestGuardPassesErrorsOn(t *testing.T) {
	rt := newChildRuntime(nil)
	rt.closing.Store(true)
	want := errors.New("oops")
	w, err := guarded(t, rt, httptest.NewRequest(http.MethodGet, "/", nil), func(http.ResponseWriter, *http.Request) error { return want })
	if !errors.Is(err, want) || w.Header().Get("Connection") != "close" {
		t.Errorf("got %v, Connection %q", err, w.Header().Get("Connection"))
	}
	if n := rt.requests.len(); n != 0 {
		t.Errorf("%d requests left in progress", n)
	}
	if rt.answered.Load() != 1 {
		t.Error("the request does not count as a sign of life")
	}
}

// The guard hands on the request that it got, and puts back what it changed.
func TestGuardLeavesTheRequestAsItWas(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func() error
	}{
		{"answered", func() error { return nil }},
		{"error", func() error { return errors.New("oops") }},
		{"panic", func() error { panic(http.ErrAbortHandler) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := newChildRuntime(nil)
			runtime.Store(rt)
			defer runtime.Store(nil)
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			before := r.Context()
			var during context.Context
			func() {
				defer func() { _ = recover() }()
				_ = Guard{}.ServeHTTP(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) error {
					if got != r {
						t.Error("the handler gets a copy of the request")
					}
					during = got.Context()
					got.Method = http.MethodPut
					return c.end()
				}))
			}()
			if r.Context() != before || r.Method != http.MethodPut {
				t.Errorf("the context is the guard's: %v; the method is %s", r.Context() != before, r.Method)
			}
			if during.Err() == nil {
				t.Error("the guard's context has not ended")
			}
			if n := rt.requests.len(); n != 0 || rt.answered.Load() != 1 {
				t.Errorf("%d requests in progress, %d answered", n, rt.answered.Load())
			}
		})
	}
}

// An immediate stop ends what only waits to receive, and nothing else.
func TestGuardInterruptsStreamsOnly(t *testing.T) {
	rt := newChildRuntime(nil)
	for _, c := range []struct {
		name, contentType string
		ends              bool
	}{
		{"event stream", "text/event-stream; charset=utf-8", true},
		{"page", "text/html", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := guarded(t, rt, httptest.NewRequest(http.MethodGet, "/", nil), func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(http.StatusOK)
				rt.requests.interrupt()
				if ended := errors.Is(context.Cause(r.Context()), errStopping); ended != c.ends {
					t.Errorf("ended: %v, want %v", ended, c.ends)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestGuardOutsideOfAChild(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	err := Guard{}.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		if _, wrapped := w.(*guardWriter); wrapped {
			t.Error("the writer is wrapped")
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
}

// A server tells of connections on which no request has come yet, and only those
// are cut when the process ends.
func TestUnusedConnections(t *testing.T) {
	rt := newChildRuntime(nil)
	used, usedPeer := net.Pipe()
	defer used.Close()
	defer usedPeer.Close()
	unused, peer := net.Pipe()
	defer peer.Close()
	for _, state := range []http.ConnState{http.StateNew, http.StateActive, http.StateIdle} {
		rt.connState(used, state)
	}
	rt.connState(unused, http.StateNew)
	rt.closeUnused(0)
	if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the unused connection: %v, want %v", err, io.EOF)
	}
	go func() { _, _ = used.Write([]byte("x")) }()
	if _, err := usedPeer.Read(make([]byte, 1)); err != nil {
		t.Errorf("the used connection: %v", err)
	}
}
