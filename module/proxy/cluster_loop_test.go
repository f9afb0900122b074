// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

// inNetwork makes this process part of a network until the test ends.
func inNetwork(t *testing.T, s *parlance.NetworkState) {
	t.Helper()
	cluster.SetState(s)
	t.Cleanup(func() { cluster.SetState(nil) })
}

// A balancer of the own network never becomes a backend, and a request that
// comes back is not sent round again.
func TestLoops(t *testing.T) {
	other := newBackendServer(t, "other", nil)
	a := (&announcing{kind: parlance.TypeURIs}).list("http://" + other.addr())
	var header atomic.Pointer[http.Header]
	inner := newAnnouncing(t, a)
	first := newBackendServer(t, "first", func(w http.ResponseWriter, r *http.Request) {
		header.Store(&r.Header)
		inner.Config.Handler.ServeHTTP(w, r)
	})
	inNetwork(t, &parlance.NetworkState{Name: "edge1", All: []string{"http://" + other.addr()}})
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{other.addr()}))).start()
	testwait.Until(t, "it is refused", func() bool { p.look(); return p.refused()["own_network"] == 1 })
	if got := p.do("GET", "", "CDN-Loop", "elsewhere"); got.status != 200 {
		t.Fatalf("got %d", got.status)
	}
	marks := (*header.Load())["Cdn-Loop"]
	if want := []string{"elsewhere", fmt.Sprintf("edge1;pool=%q", first.addr())}; !slices.Equal(marks, want) {
		t.Errorf("the backend got %q, want %q", marks, want)
	}
	for _, mark := range []string{marks[1], "x, " + marks[1], "edge1", "edge1;v=2"} {
		if got := p.do("GET", "", "CDN-Loop", mark); got.status != http.StatusLoopDetected || !strings.Contains(got.header.Get("Proxy-Status"), "proxy_loop_detected") {
			t.Errorf("%q: %d, Proxy-Status %q", mark, got.status, got.header.Get("Proxy-Status"))
		}
	}
	for _, mark := range []string{"edge2", `edge1;pool="another"`, "edge10"} {
		if got := p.do("GET", "", "CDN-Loop", mark); got.status != 200 {
			t.Errorf("%q: %d", mark, got.status)
		}
	}
}
