// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// TestPing: what a ping sends, and what counts as an answer.
func TestPing(t *testing.T) {
	health := func(extra map[string]any) map[string]any {
		active := map[string]any{"uri": "/health?deep=1", "interval": "1h"}
		maps.Copy(active, extra)
		return map[string]any{"health_checks": map[string]any{"active": active}}
	}
	for _, tc := range []struct {
		name    string
		handler map[string]any
		option  string // ping
		status  int
		body    string
		want    string // what the backend got
		answer  int
		fails   bool
	}{
		{name: "default", status: 200, want: "OPTIONS * ", answer: 200},
		{name: "any status", status: 503, want: "OPTIONS * ", answer: 503},
		{name: "option ping", option: "/up", status: 404, want: "GET /up ", answer: 404},
		{name: "static Host", handler: map[string]any{"headers": map[string]any{"request": map[string]any{"set": map[string]any{"Host": []string{"app.example"}}}}}, status: 200, want: "OPTIONS * app.example", answer: 200},
		{name: "health check", handler: health(nil), status: 204, want: "GET /health?deep=1 ", answer: 204},
		{name: "health check fails", handler: health(nil), status: 500, want: "GET /health?deep=1 ", answer: 500, fails: true},
		{name: "expect_status", handler: health(map[string]any{"expect_status": 4}), status: 404, want: "GET /health?deep=1 ", answer: 404},
		{name: "expect_body", handler: health(map[string]any{"expect_body": "^ok"}), status: 200, body: "ok!", want: "GET /health?deep=1 ", answer: 200},
		{name: "expect_body fails", handler: health(map[string]any{"expect_body": "^ok"}), status: 200, body: "down", want: "GET /health?deep=1 ", answer: 200, fails: true},
		{
			name:    "headers of a health check",
			handler: health(map[string]any{"method": "HEAD", "headers": map[string][]string{"Host": {"check.example"}}}),
			status:  200, want: "HEAD /health?deep=1 check.example", answer: 200,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := make(chan string, 100)
			b := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				host := r.Host
				if _, _, err := net.SplitHostPort(host); err == nil {
					host = ""
				}
				got <- fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, host)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			b.Start()
			w := newTested(t, setup{handler: tc.handler, options: func(o *address.Options) {
				if tc.option != "" {
					o.PingMethod, o.PingURI = "GET", tc.option
				}
			}}, b.Listener.Addr().String())
			r := w.Ping(t.Context(), w.members[0])
			if r.Status != tc.answer || (r.Err != nil) != tc.fails || r.Neutral {
				t.Errorf("got %+v, want status %d, an error: %t", r, tc.answer, tc.fails)
			}
			if s := <-got; s != tc.want {
				t.Errorf("sent %q, want %q", s, tc.want)
			}
		})
	}
}

// TestPingWithoutAnswer is an error that is the backend's.
func TestPingWithoutAnswer(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	garbage, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	go func() {
		nc, err := garbage.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		_, _ = io.WriteString(nc, "what?\r\n")
		_, _ = io.Copy(io.Discard, nc)
	}()
	for name, address := range map[string]string{
		"silent":  hole.Addr().String(),
		"refused": proxytest.DeadAddress(t),
		"garbage": garbage.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			w := newTested(t, setup{}, address)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			r := w.Ping(ctx, w.members[0])
			if r.Err == nil || r.Neutral {
				t.Errorf("got %+v, want an error that is the backend's", r)
			}
			if want := name == "silent"; r.Unanswered != want {
				t.Errorf("unanswered %t, want %t", r.Unanswered, want)
			}
			if want := name == "refused"; r.Refused != want {
				t.Errorf("refused %t, want %t", r.Refused, want)
			}
		})
	}
}
