// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// inNetwork makes this process part of a network until the test ends.
func inNetwork(t *testing.T, s *parlance.NetworkState) {
	t.Helper()
	cluster.SetState(s)
	t.Cleanup(func() { cluster.SetState(nil) })
}

func newURIs(t *testing.T, addresses ...string) *httptest.Server {
	t.Helper()
	srv, _ := newURIsIn(t, addresses...)
	return srv
}

func newURIsIn(t *testing.T, addresses ...string) (*httptest.Server, caddy.Context) {
	t.Helper()
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	t.Cleanup(cancel)
	h := &URIs{Addresses: addresses}
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "next")
			return err
		}))
		if he, ok := err.(caddyhttp.HandlerError); ok {
			w.WriteHeader(he.StatusCode)
		}
	}))
	t.Cleanup(srv.Close)
	return srv, ctx
}

func askHTTP(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestServingTheList(t *testing.T) {
	srv := newURIs(t)
	if res, _ := askHTTP(t, "GET", srv.URL+parlance.PathURIs); res.StatusCode != http.StatusNotFound {
		t.Errorf("with nothing to tell: %s", res.Status)
	}
	inNetwork(t, &parlance.NetworkState{Name: "a", Addresses: []string{"http://a:80", "https://a:443"}, Peers: []string{"https://b:443", "http://b:80"}})
	res, body := askHTTP(t, "GET", srv.URL+parlance.PathURIs)
	if body != "http://a:80\nhttp://b:80\n" || res.Header.Get("Content-Type") != parlance.TypeURIs {
		t.Errorf("told %q as %s", body, res.Header.Get("Content-Type"))
	}
	if res, body := askHTTP(t, "GET", srv.URL+parlance.PathURIs, "If-None-Match", res.Header.Get("ETag")); res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("asked with the tag: %s", res.Status)
	}
	if res, _ := askHTTP(t, "POST", srv.URL+parlance.PathURIs); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", res.Status)
	}
	if _, body := askHTTP(t, "GET", srv.URL+"/else"); body != "next" {
		t.Errorf("another path: %q", body)
	}
	if _, body := askHTTP(t, "GET", newURIs(t, "https://public:8443").URL+parlance.PathURIs); body != "https://public:8443\nhttps://b:443\n" {
		t.Errorf("with an address of its own: %q", body)
	}
}

func TestServingTheStream(t *testing.T) {
	state := parlance.NetworkState{Name: "a", Addresses: []string{"http://a:80"}}
	inNetwork(t, &state)
	req, _ := http.NewRequest("GET", newURIs(t).URL+parlance.PathURIs, nil)
	req.Header.Set("Accept", parlance.TypeEvents+", "+parlance.TypeURIs)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	expect := func(want ...string) {
		t.Helper()
		for _, w := range append(want, "") {
			if !lines.Scan() || lines.Text() != w {
				t.Fatalf("read %q (%v), want %q", lines.Text(), lines.Err(), w)
			}
		}
	}
	expect("event: uris", "data: http://a:80")
	joined := state
	joined.Peers, joined.Rebalance = []string{"http://b:80"}, 1
	cluster.SetState(&joined)
	expect("event: uris", "data: http://a:80", "data: http://b:80")
	expect("event: rebalance", "data:")
	left := joined
	left.Peers = nil
	cluster.SetState(&left)
	expect("event: uris", "data: http://a:80")
}

func TestStreamWithNothingToTellYet(t *testing.T) {
	req, _ := http.NewRequest("GET", newURIs(t).URL+parlance.PathURIs, nil)
	req.Header.Set("Accept", parlance.TypeEvents)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != parlance.TypeEvents {
		t.Fatalf("got %s", res.Status)
	}
	inNetwork(t, &parlance.NetworkState{Name: "a", Addresses: []string{"http://a:80"}})
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if lines.Text() == "data: http://a:80" {
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}

func TestStreamEndsWithTheConfiguration(t *testing.T) {
	srv, ctx := newURIsIn(t, "http://a:80")
	req, _ := http.NewRequest("GET", srv.URL+parlance.PathURIs, nil)
	req.Header.Set("Accept", parlance.TypeEvents)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	app, err := ctx.App("events")
	if err != nil {
		t.Fatal(err)
	}
	app.(*caddyevents.App).Emit(ctx, "stopping", nil)
	over := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(res.Body)
		over <- err
	}()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on")
	}
}

func TestServedAddressesAreChecked(t *testing.T) {
	_, ctx := newURIsIn(t, "http://a:80")
	for _, tc := range []struct {
		addresses []string
		err       string
	}{
		{[]string{"http://a:80", "http://[::ffff:10.0.0.1]:80"}, ""},
		{[]string{"a:80"}, "scheme"},
		{[]string{"http://a:80?maxRequests=5"}, "options are for clients"},
		{[]string{"unix//run/x"}, "unix socket"},
		{[]string{"http://a:80", "https://b:443"}, "differ in their scheme"},
	} {
		err := (&URIs{Addresses: tc.addresses}).Provision(ctx)
		if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: %v, want %q", tc.addresses, err, tc.err)
		}
	}
}
