// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
)

// TestManualFailoverIsShown by the admin API and in the table of pools.
func TestManualFailoverIsShown(t *testing.T) {
	one, two := newBackendServer(t, "one", nil), newBackendServer(t, "two", nil)
	p := newProxy(t, upstreams(one.addr(), two.addr()))
	if a := p.do("GET", ""); a.header.Get("X-Backend") != "one" {
		t.Fatalf("got %+v", a)
	}
	name := p.policy.claim.entry.name
	ask := func(method, path string) failover.PoolStatus {
		t.Helper()
		rec := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, nil)
		if err := adminPool(rec, r, strings.Split(strings.TrimPrefix(r.URL.Path, "/broker/"), "/")); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		var s failover.PoolStatus
		if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	check := func(s failover.PoolStatus, manual bool) {
		t.Helper()
		if s.Upstreams[0].Manual || s.Upstreams[1].Manual != manual {
			t.Errorf("the API shows %+v, want the second one manual: %t", s.Upstreams, manual)
		}
		var table strings.Builder
		if err := drawPools(&table, []failover.PoolStatus{s}, time.Now()); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(table.String()) {
			second := strings.HasPrefix(line, s.Upstreams[1].URI)
			if shown := strings.Contains(line, "manual failover"); shown != (manual && second) {
				t.Errorf("the table shows %q", line)
			}
		}
	}
	path := "/broker/pools/" + name
	check(ask(http.MethodGet, path), false)
	check(ask(http.MethodPost, path+"/failover?to="+two.addr()), true)
	if a := p.do("GET", ""); a.header.Get("X-Backend") != "two" {
		t.Errorf("got %+v", a)
	}
	check(ask(http.MethodGet, path), true)
	check(ask(http.MethodPost, path+"/failback"), false)
}
