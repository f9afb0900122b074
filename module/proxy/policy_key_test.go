// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
)

// TestClientsStay: with every affinity, a client stays where it is while that
// works, and goes to where it was moved to.
func TestClientsStay(t *testing.T) {
	for _, tc := range []struct{ affinity, header, value string }{
		{affinity: "client_ip"},
		{affinity: "header X-Tenant", header: "X-Tenant", value: "acme"},
		{affinity: "header Host"},
		{affinity: "cookie lb"},
		{affinity: "pool"},
	} {
		t.Run(tc.affinity, func(t *testing.T) {
			var backends []*rawBackend
			var addresses []string
			for range 4 {
				b := newRawBackend(t, rawRequest.ok)
				backends, addresses = append(backends, b), append(addresses, b.addr())
			}
			p := newProxy(t, set("randomize", true), set("affinity", tc.affinity), upstreams(addresses...))
			jar, err := cookiejar.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			p.Client().Jar = jar
			serving := func() int {
				t.Helper()
				before := make([]int64, len(backends))
				for i, b := range backends {
					before[i] = b.seen.Load()
				}
				if a := p.do("GET", "", tc.header, tc.value); a.status != 200 {
					t.Fatalf("got %+v", a)
				}
				for i, b := range backends {
					if b.seen.Load() > before[i] {
						return i
					}
				}
				t.Fatal("no backend served")
				return -1
			}
			if tc.header == "" {
				tc.header = "X-Nothing"
			}
			home := serving()
			for range 10 {
				if now := serving(); now != home {
					t.Fatalf("the client moved from %d to %d", home, now)
				}
			}
			backends[home].stop()
			away := serving()
			if away == home {
				t.Fatal("the client stayed on a dead backend")
			}
			for range 10 {
				if now := serving(); now != away {
					t.Fatalf("the client moved from %d to %d", away, now)
				}
			}
		})
	}
}

// TestCookie: set when there is something new to say, and only then.
func TestCookie(t *testing.T) {
	b := newRawBackend(t, rawRequest.ok)
	p := newProxy(t, set("affinity", "cookie lb"), upstreams(b.addr()))
	a := p.do("GET", "")
	cookies := (&http.Response{Header: a.header}).Cookies()
	if len(cookies) != 1 || cookies[0].Name != "lb" || !cookies[0].HttpOnly || cookies[0].Secure ||
		cookies[0].SameSite != http.SameSiteLaxMode || cookies[0].Path != "/" || cookies[0].MaxAge != 0 || !cookies[0].Expires.IsZero() {
		t.Fatalf("got cookies %v", a.header["Set-Cookie"])
	}
	if a = p.do("GET", "", "Cookie", "lb="+cookies[0].Value); len(a.header["Set-Cookie"]) != 0 {
		t.Errorf("a good cookie was replaced: %v", a.header["Set-Cookie"])
	}
	forged := []byte(cookies[0].Value)
	forged[3] ^= 1
	for _, v := range []string{string(forged), "", "x", strings.Repeat("A", 54), cookies[0].Value + "A"} {
		if a = p.do("GET", "", "Cookie", "lb="+v); a.status != 200 || len(a.header["Set-Cookie"]) != 1 {
			t.Errorf("cookie %q: got %d, %v, want a new one", v, a.status, a.header["Set-Cookie"])
		}
	}
	if a = p.do("GET", "", "Cookie", "lb=x; lb="+cookies[0].Value); len(a.header["Set-Cookie"]) != 0 {
		t.Errorf("a good cookie behind a bad one was replaced: %v", a.header["Set-Cookie"])
	}
}

// TestCookiesOfTwoPools that were told the same name: a browser keeps both, also the one
// that it got while the name was one pool's alone.
func TestCookiesOfTwoPools(t *testing.T) {
	browser, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	site := &url.URL{Scheme: "http", Host: "site.example", Path: "/"}
	visit := func(p *proxy) (set int) {
		t.Helper()
		var pairs []string
		for _, c := range browser.Cookies(site) {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
		a := p.do("GET", "", "Cookie", strings.Join(pairs, "; "))
		if a.status != 200 {
			t.Fatalf("got %d", a.status)
		}
		given := (&http.Response{Header: a.header}).Cookies()
		browser.SetCookies(site, given)
		return len(given)
	}
	site1 := newProxy(t, set("affinity", "cookie lb"), upstreams(newRawBackend(t, rawRequest.ok).addr()))
	visit(site1)
	site2 := newProxy(t, set("affinity", "cookie lb"), upstreams(newRawBackend(t, rawRequest.ok).addr()))
	if n := visit(site2); n != 1 {
		t.Errorf("the second pool set %d cookies at the first visit, want 1", n)
	}
	for range 3 {
		if n := visit(site1) + visit(site2); n != 0 {
			t.Errorf("%d good cookies were replaced", n)
		}
	}
	if n := len(browser.Cookies(site)); n != 2 {
		t.Errorf("the browser has %d cookies, want 2", n)
	}
}

// TestCookieSecretIsThere before the first request, once one was made.
func TestCookieSecretIsThere(t *testing.T) {
	b := newRawBackend(t, rawRequest.ok)
	first := newProxy(t, set("affinity", "cookie lb"), upstreams(b.addr()))
	made := first.policy.cookie.key()
	next := first.beside(set("affinity", "cookie lb"), upstreams(b.addr()))
	if got := next.policy.cookie.secret; !bytes.Equal(got, made) {
		t.Errorf("the secret is %q before the first request, want %q", got, made)
	}
}

// TestCookieKeysAreRandom: browsers behind one address are many clients, and each
// stays where its first request was placed.
func TestCookieKeysAreRandom(t *testing.T) {
	const browsers = 60
	addrs := make([]string, 0, 3)
	for i := range 3 {
		addrs = append(addrs, newBackendServer(t, fmt.Sprint(i), nil).addr())
	}
	p := newProxy(t, set("affinity", "cookie lb"), set("randomize", true), upstreams(addrs...))
	placed := map[string]int{}
	for range browsers {
		a := p.do("GET", "")
		cookies := (&http.Response{Header: a.header}).Cookies()
		if a.status != 200 || len(cookies) != 1 {
			t.Fatalf("got %+v", a)
		}
		first := a.header.Get("X-Backend")
		placed[first]++
		a = p.do("GET", "", "Cookie", "lb="+cookies[0].Value)
		if got := a.header.Get("X-Backend"); got != first || len(a.header["Set-Cookie"]) != 0 {
			t.Errorf("placed on %s, then sent to %s with %v", first, got, a.header["Set-Cookie"])
		}
	}
	for name, n := range placed {
		if n > browsers*2/3 { // 20 are expected: more than 40 come once in ten million times
			t.Errorf("%d of %d are on %s", n, browsers, name)
		}
	}
	if len(placed) != 3 {
		t.Errorf("they are on %v", placed)
	}
}

// TestCookieSays what it was made to say, to whoever has the secret and pool.
func TestCookieSays(t *testing.T) {
	b := newRawBackend(t, rawRequest.ok)
	p := newProxy(t, set("affinity", "cookie lb"), upstreams(b.addr(), deadAddress(t)))
	c := p.policy.cookie
	home := p.policy.claim.entry.pool.Members()[0].Name
	for _, name := range []string{"", home} {
		one, two := c.seal(42, name), c.seal(42, name)
		if one == two {
			t.Error("two cookies are the same: they would tell clients apart by their backend")
		}
		key, got, ok := c.open(one)
		if key != 42 || got != name || !ok {
			t.Errorf("got %d, %q, %t, want 42, %q", key, got, ok, name)
		}
	}
	if key, got, ok := c.open(c.seal(42, "http://gone:80")); key != 42 || got != "" || !ok {
		t.Errorf("a backend that is gone: got %d, %q, %t", key, got, ok)
	}
	one, spellings := c.seal(42, home), 0
	for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		if _, _, ok := c.open(one[:len(one)-1] + string(last)); ok {
			spellings++
		}
	}
	if spellings != 1 {
		t.Errorf("a cookie is known in %d spellings", spellings)
	}
	other := &cookieAffinity{name: "lb", policy: p.policy}
	if _, _, ok := other.open(c.seal(42, home)); !ok {
		t.Error("another broker with the same storage does not know the cookie")
	}
	other.secret = []byte("another secret, of another cluster")
	if _, _, ok := other.open(c.seal(42, home)); ok {
		t.Error("a cookie is known without the secret")
	}
}

// TestKeys: what keys a request.
func TestKeys(t *testing.T) {
	b := newRawBackend(t, rawRequest.ok)
	p := newProxy(t, set("affinity", "header X-Key"), upstreams(b.addr()))
	key := func(header string) failover.Request {
		var got failover.Request
		r, _ := http.NewRequest("GET", "http://x/", nil)
		r.Header.Set("X-Key", header)
		r = prepared(r, "192.0.2.1:1234")
		p.policy.key(r, &got)
		return got
	}
	if a, b := key("a"), key("b"); a.Key == b.Key || !a.Keyed {
		t.Errorf("got %+v and %+v", a, b)
	}
	if a, b := key(""), key("b"); a.Key == b.Key || !a.Keyed {
		t.Errorf("without the header: got %+v, want the client's address", a)
	}
}
