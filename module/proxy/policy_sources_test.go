// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
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
	testwait.Until(t, "x is gone", func() bool { _, ok := p.members()[x.addr()]; return !ok })
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
	testwait.Until(t, "the list was asked for conditionally", func() bool { return unchanged.Load() > 0 })
	mu.Lock()
	list = "http://" + y.addr()
	mu.Unlock()
	if got := <-answer; got.header.Get("X-Backend") != "y" {
		t.Errorf("got %d from %q: %s", got.status, got.header.Get("X-Backend"), got.body)
	}
}
