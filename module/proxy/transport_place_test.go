// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// places notes what is said of a request's place, and how many requests backends had seen
// when it was said that one is about to be written.
type places struct {
	seen func() int64

	mu   sync.Mutex
	said []string
}

func (p *places) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said := fmt.Sprintf(format, args...)
	if len(p.said) == 0 || p.said[len(p.said)-1] != said { // HTTP/2 says it with each field
		p.said = append(p.said, said)
	}
}

func (p *places) Carried(string)       { p.note("carried") }
func (p *places) At(_, backend string) { p.note("at %s", backend) }
func (p *places) Written()             { p.note("written, seen %d", p.seen()) }
func (p *places) Unwritten()           { p.note("unwritten") }
func (p *places) all() (said []string) { p.mu.Lock(); defer p.mu.Unlock(); return slices.Clone(p.said) }

// That a request is written is said before a backend can see it, and taken back only
// when it is proven that no backend has processed it.
func TestPlaceIsToldBeforeTheBackend(t *testing.T) {
	seen := func(backends ...interface{ requests() int64 }) func() int64 {
		return func() (n int64) {
			for _, b := range backends {
				n += b.requests()
			}
			return n
		}
	}
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, c := range []struct {
		name string
		run  func(t *testing.T) (p *proxy, at []string, seen func() int64)
		want string // 1 and 2 are the backends
	}{
		{"HTTP/1", func(t *testing.T) (*proxy, []string, func() int64) {
			b := newBackendServer(t, "a", nil)
			return newProxy(t, upstreams(b.addr())), []string{b.URL}, seen(b)
		}, "carried; at 1; written, seen 0"},
		{"HTTP/1 with TLS", func(t *testing.T) (*proxy, []string, func() int64) {
			b := &backendServer{name: "a"}
			b.Server = httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodOptions {
					b.count.Add(1)
				}
			}))
			t.Cleanup(b.Close)
			return newProxy(t, upstreams(b.addr()), with("transport", map[string]any{
				"protocol": "http", "versions": []string{"1.1"}, "tls": map[string]any{"insecure_skip_verify": true},
			})), []string{b.URL}, seen(b)
		}, "carried; at 1; written, seen 0"},
		{"HTTP/2", func(t *testing.T) (*proxy, []string, func() int64) {
			b := newH2Backend(t, h2Stream.ok)
			return newProxy(t, h2c, upstreams(b.addr())), []string{"h2c://" + b.addr()}, seen(b)
		}, "carried; at 1; written, seen 0"},
		{"lost", func(t *testing.T) (*proxy, []string, func() int64) {
			b, other := newBackendServer(t, "a", cut), newBackendServer(t, "b", nil)
			return newProxy(t, upstreams(b.addr(), other.addr())), []string{b.URL, other.URL}, seen(b, other)
		}, "carried; at 1; written, seen 0"},
		{"refused by HTTP/2", func(t *testing.T) (*proxy, []string, func() int64) {
			b, other := newH2Backend(t, h2Stream.refuse), newH2Backend(t, h2Stream.ok)
			return newProxy(t, h2c, upstreams(b.addr(), other.addr())), []string{"h2c://" + b.addr(), "h2c://" + other.addr()}, seen(b, other)
		}, "carried; at 1; written, seen 0; unwritten; written, seen 1; unwritten; at 2; written, seen 2"},
		{"not reached", func(t *testing.T) (*proxy, []string, func() int64) {
			dead, other := deadAddress(t), newBackendServer(t, "b", nil)
			return newProxy(t, upstreams(dead, other.addr())).quiet(), []string{"http://" + dead, other.URL}, seen(other)
		}, "carried; at 1; unwritten; at 2; written, seen 0"},
		{"another transport", func(t *testing.T) (*proxy, []string, func() int64) {
			dead := deadAddress(t)
			return newProxy(t, upstreams(dead), set("max_reconnect_attempts", 0), with("transport", map[string]any{"protocol": "fastcgi"})).quiet(),
				[]string{"http://" + dead}, seen()
		}, "carried; at 1; written, seen 0; unwritten"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, at, seen := c.run(t)
			place := &places{seen: seen}
			p.place = place
			p.do("POST", "")
			got := strings.Join(place.all(), "; ")
			for i, address := range at {
				got = strings.ReplaceAll(got, "at "+address, fmt.Sprintf("at %d", i+1))
			}
			if got != c.want {
				t.Errorf("said was\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func (b *backendServer) requests() int64 { return b.count.Load() }
func (b *h2Backend) requests() int64     { return b.seen.Load() }
