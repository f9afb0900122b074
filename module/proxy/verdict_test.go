// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// stateOf is what the pool says of its upstream.
func stateOf(p *proxy, addr string) string {
	for _, u := range p.policy.pool.Status().Upstreams {
		if u.URI == "http://"+addr || u.URI == "h2c://"+addr {
			return u.State
		}
	}
	return "unknown"
}

// TestOneClientMovesNobody: whatever it asks for that backends answer by ending the
// connection, or the stream, and however often. It gets an error, and who comes
// beside it is served where it was.
func TestOneClientMovesNobody(t *testing.T) {
	closes := func() (string, func() int64) {
		b := newRawBackend(t, func(r rawRequest) bool {
			if r.Header.Get("Evil") != "" {
				return r.reset()
			}
			return r.ok()
		})
		return b.addr(), b.seen.Load
	}
	resets := func() (string, func() int64) {
		b := newH2Backend(t, func(s h2Stream) bool {
			if s.header("evil") != "" {
				return s.fr.WriteRSTStream(s.id, http2.ErrCodeInternal) == nil
			}
			return s.ok()
		})
		return b.addr(), b.seen.Load
	}
	for name, tc := range map[string]struct {
		backend func() (string, func() int64)
		option  option
	}{"connections": {closes, nil}, "streams": {resets, h2c}} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(method+" "+name, func(t *testing.T) {
				const rounds = 100
				home, homeSeen := tc.backend()
				away, awaySeen := tc.backend()
				options := []option{upstreams(home, away)}
				if tc.option != nil {
					options = append(options, tc.option)
				}
				p := newProxy(t, options...)
				for range rounds {
					if a := p.do(method, "", "Evil", "1"); a.status != 502 {
						t.Fatalf("the evil one got %d", a.status)
					}
					for _, good := range []string{"GET", "POST"} {
						if a := p.do(good, ""); a.status != 200 {
							t.Fatalf("%s: got %d %s", good, a.status, a.header)
						}
					}
				}
				// A POST may have gone to the other one while a ping was on its way.
				evil := int64(rounds)
				if method == "POST" {
					evil = 0
				}
				if n := awaySeen() - evil; n < 0 || n > rounds/10 {
					t.Errorf("the other backend got %d of the good requests, home %d of all", n, homeSeen())
				}
				if s := stateOf(p, home); s == "down" || s == "trial" {
					t.Errorf("home is %s", s)
				}
			})
		}
	}
}

// TestADeadBackendIsFoundByItsPing: one that dies with a request is down as soon as
// its ping is refused, and nothing is lost that may be sent again.
func TestADeadBackendIsFoundByItsPing(t *testing.T) {
	var home *rawBackend
	home = newRawBackend(t, func(r rawRequest) bool {
		if r.Header.Get("Evil") != "" {
			_ = home.Close()
			return r.reset()
		}
		return r.ok()
	})
	away := newBackendServer(t, "away", nil)
	p := newProxy(t, upstreams(home.addr(), away.addr()))
	if a := p.do("GET", ""); a.status != 200 || a.header.Get("X-Backend") != "" {
		t.Fatalf("got %+v", a)
	}
	if a := p.do("GET", "", "Evil", "1"); a.status != 200 || a.header.Get("X-Backend") != "away" {
		t.Errorf("got %+v", a)
	}
	testwait.Until(t, "verdict", func() bool { return stateOf(p, home.addr()) == "down" })
	if a := p.do("POST", "x"); a.status != 200 || a.header.Get("X-Backend") != "away" {
		t.Errorf("got %+v", a)
	}
}

// TestDoubtsBesideDials: an id is written to the variables of a request in doubt while a
// dial that was made for it may still be under way
// that may want some of them. It is for the race detector, and for the ids.
func TestDoubtsBesideDials(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	b.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Evil") != "" {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.Copy(w, r.Body)
	})
	for name, transport := range map[string]map[string]any{
		"plain": {"protocol": "http"},
		"few":   {"protocol": "http", "max_conns_per_host": 8},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, upstreams(b.addr()), with("transport", transport))
			var clients sync.WaitGroup
			for i := range 16 {
				clients.Go(func() {
					for n := range 20 {
						if (i+n)%2 == 0 {
							if a := p.do("POST", "body"); a.status != 200 {
								t.Errorf("got %d", a.status)
							}
							continue
						}
						a := p.do("POST", "body", "Evil", "1")
						wantStatus(t, a, 502, `caddy-broker; error=connection_terminated; details="in-doubt"`, false)
						if a.header.Get(indoubt.RequestIDHeader) == "" {
							t.Error("a request in doubt has no id")
						}
					}
				})
			}
			clients.Wait()
		})
	}
}

// TestOneClientChoosesABadName: where the name that TLS asks for comes from the request,
// one that backends refuse is that request's fault.
func TestOneClientChoosesABadName(t *testing.T) {
	var handshakes atomic.Int64
	backend := func() string {
		b := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		b.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if hello.ServerName == "evil.example" {
				handshakes.Add(1)
				return nil, errors.New("no such name here")
			}
			return nil, nil
		}}
		b.Config.ErrorLog = log.New(io.Discard, "", 0)
		b.StartTLS()
		t.Cleanup(b.Close)
		return b.Listener.Addr().String()
	}
	home, away := backend(), backend()
	p := newProxy(t, upstreams(home, away), with("transport", map[string]any{
		"protocol": "http", "keep_alive": map[string]any{"enabled": false}, "tls": map[string]any{"insecure_skip_verify": true, "server_name": "{http.request.header.Name}"},
	}))
	const rounds = 10
	for range rounds {
		if a := p.do("GET", "", "Name", "evil.example"); a.status != 502 {
			t.Fatalf("the evil one got %d", a.status)
		}
		if a := p.do("POST", "x", "Name", "good.example"); a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.header)
		}
	}
	if n := handshakes.Load(); n > 4*rounds {
		t.Errorf("%d handshakes for %d requests", n, rounds)
	}
	for _, u := range p.policy.pool.Status().Upstreams {
		if u.State == "down" {
			t.Errorf("%s is down: %s", u.URI, u.LastError)
		}
	}
}
