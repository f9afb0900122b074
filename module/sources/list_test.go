// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

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

// operator is what a configuration says of the backends, without any.
type operator struct {
	options address.Options
	allow   *membership.AllowList
	logger  *zap.Logger
}

func (o *operator) Options() *address.Options { return &o.options }

func (o *operator) Scheme() string { return address.SchemeHTTP }

func (o *operator) Logger() *zap.Logger { return o.logger }

func (o *operator) MayJoin(u address.URI) error { return o.allow.Check(u) }

func (o *operator) Askable() bool { return false }

func (o *operator) Open(context.Context, *failover.Member, string) (*Line, error) {
	return nil, errors.New("there is nothing to open")
}

func (o *operator) Prune(*failover.Pool) {}

// idle is the carrier of a pool that is never started.
type idle struct{}

func (idle) Ping(context.Context, *failover.Member) report.PingResult { return report.PingResult{} }
func (idle) Release(*failover.Member)                                 {}
func (idle) Warm([]*failover.Member)                                  {}

// sourced is the follower of a pool that takes words from the test alone.
func sourced(t *testing.T, allow ...string) *Follower {
	t.Helper()
	u, err := address.ParseURI("http://10.9.9.9:80")
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{options: address.DefaultOptions(), logger: zap.NewNop()}
	if o.allow, err = membership.NewAllowList(allow, []address.URI{u}); err != nil {
		t.Fatal(err)
	}
	pool, err := failover.New(failover.Config{
		Name: "test", URIs: []address.URI{u}, Options: o.options, Carrier: idle{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := New()
	s.name, s.pool, s.said, s.current = "test", pool, pool.Said(), o
	return s
}

// A list that was another's word and is the operator's now, with the same
// addresses, is not checked any more; and the other way round.
func TestListChangesHands(t *testing.T) {
	s := sourced(t, "10.0.0.1:80")
	for _, where := range []string{"http://10.0.0.9/list", "/etc/list", "http://10.0.0.9/list"} {
		s.list.forget(where)
		s.take(word{source: listSource, where: where, kind: "uris", text: []byte("10.0.0.1:80"), trusted: !IsRemote(where)})
		checked := false
		for m := range s.pool.All() {
			checked = checked || m.URI.Host == "10.0.0.1" && m.Restricted()
		}
		if checked != IsRemote(where) {
			t.Errorf("list at %s: its address is checked: %t", where, checked)
		}
	}
}

// A source that says something else that is wrong each time is complained of once
// in a while, and so is one that says something right in between.
func TestComplaintsAreFew(t *testing.T) {
	s := sourced(t, "10.0.0.1:80")
	core, logs := observer.New(zap.WarnLevel)
	o := s.current.(*operator)
	o.logger, o.options.UpdateURIsURL = zap.New(core), "http://10.0.0.9/list"
	s.list.forget(o.options.UpdateURIsURL)
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
	updates, _ := s.Counts()
	want := map[Update]uint64{{"list", "accepted"}: 1, {"discovery", "ignored"}: 1}
	if n := len(s.pool.All()); n != 1+len(many) || !maps.Equal(updates, want) {
		t.Errorf("%d members, counted %v", n, updates)
	}
}
