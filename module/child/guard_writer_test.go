// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What handlers can do with the server's own writer they can do with the guard's,
// and what they cannot do is the same error.
func TestGuardedWriterCanDoTheSame(t *testing.T) {
	runtime.Store(newChildRuntime(nil))
	defer runtime.Store(nil)
	for _, c := range []struct {
		name string
		do   func(w http.ResponseWriter) error
	}{
		{"flush", func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }},
		{"flush as a Flusher", func(w http.ResponseWriter) error {
			f, ok := w.(http.Flusher)
			if !ok {
				return errors.New("the writer is no Flusher")
			}
			f.Flush()
			return nil
		}},
		{"read deadline", func(w http.ResponseWriter) error {
			return http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour))
		}},
		{"write deadline", func(w http.ResponseWriter) error {
			return http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		}},
		{"full duplex", func(w http.ResponseWriter) error { return http.NewResponseController(w).EnableFullDuplex() }},
		{"copy", func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader("x")); return err }},
		{"hijack", func(w http.ResponseWriter) error {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
				_ = conn.Close()
			}
			return err
		}},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", c.name, http2), func(t *testing.T) {
				got := make(chan error, 1)
				site := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error { got <- c.do(w); return nil })
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/child" {
						_ = Guard{}.ServeHTTP(w, r, site)
					} else {
						_ = site.ServeHTTP(w, r)
					}
				}))
				srv.EnableHTTP2 = http2
				srv.StartTLS()
				defer srv.Close()
				ask := func(path string) error {
					res, err := srv.Client().Get(srv.URL + path)
					if err != nil {
						t.Fatal(err)
					}
					_ = res.Body.Close()
					return <-got
				}
				alone, child := ask("/"), ask("/child")
				if (child == nil) != (alone == nil) || errors.Is(child, http.ErrNotSupported) != errors.Is(alone, http.ErrNotSupported) {
					t.Errorf("in a child %v, alone %v", child, alone)
				}
			})
		}
	}
}
