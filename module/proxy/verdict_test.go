// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	"golang.org/x/net/http2"

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
