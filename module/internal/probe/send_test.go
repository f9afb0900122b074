// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// dialer makes connections to a server of a test.
func dialer(s *httptest.Server) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Host", r.Host)
		switch r.URL.Path {
		case "/hang":
			<-hang
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/bad":
			w.Header().Set("Proxy-Status", "broker; error=connection_refused")
			http.Error(w, "no backend", http.StatusBadGateway)
		default:
			fmt.Fprintf(w, "%s says ok", r.Header.Get("X-Asked"))
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(hang) })
	for name, c := range map[string]struct {
		p    Probe
		want string // in the error
	}{
		"right":            {Probe{URL: "http://a/", Expect: []string{"2xx"}, Header: map[string]string{"X-Host": "a", "content-type": "text/*"}, BodyContains: "b says ok", RequestHeader: map[string]string{"X-Asked": "b"}}, ""},
		"default":          {Probe{URL: "http://a/moved"}, ""},
		"another host":     {Probe{URL: "http://a/", RequestHeader: map[string]string{"Host": "b"}, Header: map[string]string{"X-Host": "b"}}, ""},
		"status":           {Probe{URL: "http://a/bad"}, "answered 502 Bad Gateway (broker; error=connection_refused), expected 2xx or 3xx: no backend"},
		"expected status":  {Probe{URL: "http://a/", Expect: []string{"404", "5xx"}}, "answered 200 OK, expected 404 or 5xx"},
		"no header":        {Probe{URL: "http://a/", Header: map[string]string{"X-None": "1"}}, "answered 200 OK with no X-None, expected X-None: 1"},
		"header":           {Probe{URL: "http://a/", Header: map[string]string{"X-Host": "*b*"}}, "with X-Host: a, expected X-Host: *b*"},
		"body":             {Probe{URL: "http://a/", BodyContains: "no"}, `answered 200 OK without "no" in its body:  says ok`},
		"no answer":        {Probe{URL: "http://a/hang", Timeout: new(caddy.Duration(50 * time.Millisecond))}, "no answer in time: within 50ms"},
		"not the protocol": {Probe{URL: "https://a/"}, "tls: first record does not look like a TLS handshake"},
	} {
		c.p.Method = http.MethodGet
		err := c.p.Send(t.Context(), dialer(s))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// A certificate counts for its name and its time; who issued it does not.
func TestSendOverTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	right := Probe{Method: http.MethodGet, URL: "https://example.com/", BodyContains: "HTTP/2.0"}
	if err := right.Send(t.Context(), dialer(s)); err != nil {
		t.Error(err)
	}
	wrong := Probe{Method: http.MethodGet, URL: "https://other.example/"}
	if err := wrong.Send(t.Context(), dialer(s)); err == nil || !strings.Contains(err.Error(), "certificate is valid for") {
		t.Errorf("error %v for another name", err)
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, wanted string
		want          bool
	}{
		{"abc", "abc", true},
		{"abc", "ab", false},
		{"abc", "ab*", true},
		{"abc", "*bc", true},
		{"abc", "*b*", true},
		{"abc", "*", true},
		{"abc", "*x*", false},
		{"", "*", true},
	} {
		if got := matches(c.value, c.wanted); got != c.want {
			t.Errorf("%q by %q: %v", c.value, c.wanted, got)
		}
	}
}
