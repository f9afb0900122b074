// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

func TestListInFile(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	x, y := newBackendServer(t, "x", nil), newBackendServer(t, "y", nil)
	path := filepath.Join(t.TempDir(), "list")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("http://" + x.addr() + " ,\n")
	p := newProxy(t, set("update_uris_url", path)).start() // and no other address
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "x" {
		t.Fatalf("got %d from %q", got.status, got.header.Get("X-Backend"))
	}
	for _, bad := range []string{"", "<html>", "not a list", strings.Repeat("http://10.0.0.1:80\n", 10000)} {
		write(bad)
	}
	write(y.addr() + "," + x.addr() + "\n")
	p.awaitMember(y.addr(), "up")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("http://" + y.addr())
	eventually(t, "x is gone", func() bool { _, ok := p.members()[x.addr()]; return !ok })
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "y" {
		t.Errorf("got %d from %q", got.status, got.header.Get("X-Backend"))
	}
}

func TestListIsReadAfterALoss(t *testing.T) {
	t.Parallel() // it waits, and its pool is its own
	// A connection that is kept would cost the request its one attempt on x.
	x := newBackendServer(t, "x", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	y := newBackendServer(t, "y", nil)
	var gets, unchanged atomic.Int64
	list := "http://" + x.addr()
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		text := list
		mu.Unlock()
		gets.Add(1)
		tag := fmt.Sprintf("%q", text)
		if r.Header.Get("If-None-Match") == tag {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", tag)
		_, _ = io.WriteString(w, text)
	}))
	defer srv.Close()
	p := newProxy(t, set("update_uris_url", srv.URL), set("update_uris_allow", []string{x.addr(), y.addr()})).start()
	if got := p.do("GET", ""); got.header.Get("X-Backend") != "x" {
		t.Fatalf("got %d from %q", got.status, got.header.Get("X-Backend"))
	}
	// With nobody there the list is read again and again, and answered shortly.
	x.Close()
	answer := make(chan clientAnswer)
	go func() { answer <- p.do("GET", "") }()
	eventually(t, "the list was asked for conditionally", func() bool { return unchanged.Load() > 0 })
	mu.Lock()
	list = "http://" + y.addr()
	mu.Unlock()
	if got := <-answer; got.header.Get("X-Backend") != "y" {
		t.Errorf("got %d from %q: %s", got.status, got.header.Get("X-Backend"), got.body)
	}
}

func TestBrokenListServers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		err   string
	}{
		"redirect elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "redirects to another server"},
		"redirect for ever":  {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "redirects"},
		"error":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, "404"},
		"HTML":               {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "HTML"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, "http://10.0.0.1:80\n"); err != nil {
					return
				}
			}
		}, "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tc.serve)
			defer srv.Close()
			client := newListClient()
			defer client.CloseIdleConnections()
			text, _, err := fetchList(t.Context(), client, srv.URL, listVersion{})
			if err == nil {
				_, err = address.ParseList(text, "http")
			}
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want one with %q", err, tc.err)
			}
		})
	}
}

func TestListFileThatIsNone(t *testing.T) {
	if _, err := readListFile(t.TempDir()); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("error %v", err)
	}
}

// sourced is the membership of a pool that takes words from nobody but the test.
func sourced(t *testing.T, allow ...string) *follower {
	t.Helper()
	p := newProxy(t, upstreams("10.9.9.9:80"), set("update_uris_allow", allow))
	s := newFollower(p.policy.claim.entry)
	s.said, s.current = s.entry.pool.Said(), p.policy
	return s
}

// A list that was somebody else's word and is the operator's now, with the same
// addresses, is not checked any more; and the other way round.
func TestListChangesHands(t *testing.T) {
	s := sourced(t, "10.0.0.1:80")
	for _, where := range []string{"http://10.0.0.9/list", "/etc/list", "http://10.0.0.9/list"} {
		s.list.forget(where)
		s.take(word{source: listSource, where: where, kind: "uris", text: []byte("10.0.0.1:80"), trusted: !isRemoteList(where)})
		checked := false
		for m := range s.entry.pool.All() {
			checked = checked || m.URI.Host == "10.0.0.1" && m.Restricted()
		}
		if checked != isRemoteList(where) {
			t.Errorf("list at %s: its address is checked: %t", where, checked)
		}
	}
}

// Whoever says something else that is wrong each time is complained of once in a
// while, and so is one who says something right in between.
func TestComplaintsAreFew(t *testing.T) {
	s := sourced(t, "10.0.0.1:80")
	core, logs := observer.New(zap.WarnLevel)
	s.current.logger = zap.New(core)
	s.current.options.UpdateURIsURL = "http://10.0.0.9/list"
	s.list.forget(s.current.options.UpdateURIsURL)
	say := func(text string) {
		s.take(word{source: listSource, where: s.list.where, kind: "uris", text: []byte(text)})
	}
	expect := func(want int) {
		t.Helper()
		got := logs.FilterMessage(listIgnored)
		if got.Len() != want {
			t.Fatalf("%d complaints, want %d: %v", got.Len(), want, got.All())
		}
	}
	for n := range 5 {
		say(fmt.Sprintf("rubbish %d", n))
		say("10.0.0.1:80")
		say("<html>")
		say("<html>")
	}
	expect(1)
	if got := logs.FilterMessage(listIgnored).All()[0].ContextMap(); got["source"] != s.list.where || !strings.Contains(got["error"].(string), "rubbish 0") {
		t.Errorf("the complaint does not say what and from where: %v", got)
	}
	later := s.told[listSource]
	later.at = later.at.Add(-complainEvery)
	s.told[listSource] = later
	say("<html>")
	say("<html>")
	expect(2)
}

// A list that does not fit is ignored as a whole, counted once, and what was there
// before stays.
func TestListThatDoesNotFit(t *testing.T) {
	s := sourced(t, "10.0.0.0/8:80")
	say := func(source, where string, hosts ...string) {
		s.take(word{source: source, where: where, kind: "uris", text: []byte(strings.Join(hosts, "\n"))})
	}
	s.list.forget("http://10.0.0.9/list")
	s.agent.forget("mdns _app._tcp", nil, time.Now())
	var many []string
	for n := range address.MaxListAddresses {
		many = append(many, fmt.Sprintf("10.1.%d.%d:80", n/250, n%250+1))
	}
	say(listSource, s.list.where, many...)
	for range 3 {
		say(s.agent.what, s.agent.what, many[0], "10.2.0.1:80")
	}
	updates, _ := s.counts.read()
	want := map[updateKey]uint64{{"list", "accepted"}: 1, {"discovery", "ignored"}: 1}
	if n := len(s.entry.pool.All()); n != 1+len(many) || !maps.Equal(updates, want) {
		t.Errorf("%d members, counted %v", n, updates)
	}
}

// A stream's events are taken as they come, as long as there are not too many.
func TestPaceOfEvents(t *testing.T) {
	var p pace
	now := time.Now()
	for n := range streamBurst {
		if d := p.next(now); d != 0 {
			t.Fatalf("event %d waits %v", n, d)
		}
	}
	for n := 1; n <= 3; n++ {
		if d := p.next(now); d != time.Duration(n)*streamPause {
			t.Errorf("%d too many: waits %v", n, d)
		}
	}
	if d := p.next(now.Add(time.Hour)); d != 0 {
		t.Errorf("an hour later it waits %v", d)
	}
}
