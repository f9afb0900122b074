// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A stream over HTTP/1 that is interrupted ends like one whose client has gone: its
// context does. Its answer can be finished, and then the connection ends.
func TestInterruptedStreamIsFinished(t *testing.T) {
	if goruntime.GOOS == "windows" {
		t.Skip("requests have contexts of their own there")
	}
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "http", true: "https"}[secure], func(t *testing.T) {
			rt := newChildRuntime(nil)
			runtime.Store(rt)
			defer runtime.Store(nil)
			begun := make(chan error, 1)
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, make(map[string]any)))
				_ = Guard{}.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
					w.Header().Set("Content-Type", "text/event-stream")
					begun <- http.NewResponseController(w).Flush()
					<-r.Context().Done()
					_, err := io.WriteString(w, "event: bye\n\n")
					return err
				}))
			}))
			srv.Config.ConnContext = withClient
			if secure {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			resp, err := srv.Client().Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if err := <-begun; err != nil {
				t.Fatal(err)
			}
			rt.requests.each(func(q *inflight) {
				if q.cancel != nil {
					t.Error("the request has a context of its own")
				}
			})
			rt.requests.interrupt()
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "event: bye\n\n" {
				t.Errorf("the stream ended with %q, %v", body, err)
			}
		})
	}
}

// The context of a request has what those below have, also what is not there.
func TestRequestContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	vars, server := map[string]any{"a": 1}, new(http.Server)
	for key, value := range map[any]any{caddyhttp.VarsCtxKey: vars, http.ServerContextKey: server, "other": "thing"} {
		ctx = context.WithValue(ctx, key, value)
	}
	c := remember(httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	for _, key := range []any{caddyhttp.VarsCtxKey, http.ServerContextKey, caddy.ReplacerCtxKey, caddyhttp.ServerCtxKey, "other", "none"} {
		got, want := c.Value(key), ctx.Value(key)
		if m, ok := want.(map[string]any); ok {
			got, want = got.(map[string]any)["a"], m["a"]
		}
		if got != want {
			t.Errorf("%v is %v, want %v", key, got, want)
		}
	}
	inner, stop := context.WithCancel(&c)
	defer stop()
	gone := errors.New("gone")
	cancel(gone)
	<-inner.Done()
	if context.Cause(inner) != gone || c.Err() == nil {
		t.Errorf("ended by %v, %v", context.Cause(inner), c.Err())
	}
}
