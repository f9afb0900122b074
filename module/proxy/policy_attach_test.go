// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// TestLoadErrors name what is wrong and the way out.
func TestLoadErrors(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []option
		want    []string
	}{
		{"no address", nil, []string{"no address", "update_uris_url"}},
		{"placeholder of the request", []option{upstreams("{http.request.host}:80")}, []string{"{http.request.host}:80", "dynamic"}},
		{"bad option", []option{upstreams("a:1"), set("max_waiting", -1)}, []string{"max_waiting", "-1"}},
		{"unknown option", []option{upstreams("a:1"), set("max_wait", 1)}, []string{"max_wait"}},
		{"options for nobody", []option{upstreams("a:1"), set("address_options", map[string]any{"b:2": map[string]any{"max_requests": 1}})}, []string{`pool "a:1"`, "b:2", "which has a:1", "nested"}},
		{"options for nobody in a named pool", []option{upstreams("a:1"), set("pool", "shop"), set("address_options", map[string]any{"b:2": map[string]any{"max_requests": 1}})}, []string{`pool "shop"`, "b:2"}},
		{"priority of two schemes", []option{upstreams("a:1"), set("priority_backup", true), set("priority_uris", []string{"http://a:1", "https://b:1"})}, []string{`pool "a:1"`, "priority_uris", "https://b:1", "write b:1"}},
		{"options for nobody in a dynamic pool", []option{with("dynamic_upstreams", map[string]any{"source": "multi"}), set("address_options", map[string]any{"b:2": map[string]any{"max_requests": 1}})}, []string{"b:2", "which has none"}},

		{"priority of another scheme", []option{upstreams("a:1"), set("priority_backup", true), set("priority_uris", []string{"https://a:1"})}, []string{`pool "a:1"`, "priority_uris", "https://a:1", "whose scheme is http", "write a:1"}},
		{
			"fallback of cookie",
			[]option{upstreams("a:1"), lb("selection_policy", map[string]any{"policy": "cookie", "fallback": map[string]any{"policy": "failover"}})},
			[]string{"cookie", "affinity cookie NAME"},
		},
		{
			"fallback of header",
			[]option{upstreams("a:1"), lb("selection_policy", map[string]any{"policy": "header", "field": "X", "fallback": map[string]any{"policy": "failover"}})},
			[]string{"header", "affinity"},
		},
		{
			"fallback of query",
			[]option{upstreams("a:1"), lb("selection_policy", map[string]any{"policy": "query", "key": "x", "fallback": map[string]any{"policy": "failover"}})},
			[]string{"query", "affinity"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := loadConfig(t, handlerConfig(tc.options...))
			if err == nil {
				t.Fatal("it was loaded")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
	if len(pools.entries) != 0 {
		t.Errorf("pools are left: %v", pools.entries)
	}
}

// TestAddresses: how upstreams are written, and what the pool makes of them.
func TestAddresses(t *testing.T) {
	t.Setenv("TEST_BACKEND", "10.0.0.9")
	list := mustLoad(t, handlerConfig(
		upstreams("10.0.0.1:80", "tcp/10.0.0.2:80", ":9000", "[::1]:80", "unix//run/app.sock", "10.0.0.1:80", "{env.TEST_BACKEND}:80", "Example.COM:80"),
		set("priority_backup", true), set("priority_uris", []string{"10.0.0.8:80", "10.0.0.2:80"})))
	var got []string
	for _, u := range list[0].policy.uris {
		got = append(got, u.Name())
	}
	want := "http://10.0.0.1:80 http://10.0.0.2:80 http://localhost:9000 http://[::1]:80 unix//run/app.sock http://10.0.0.9:80 http://example.com:80 http://10.0.0.8:80"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
	f := list[0].policy
	for _, up := range f.handler.Upstreams {
		u, err := policyconfig.UpstreamURI(up, "http")
		if err != nil {
			t.Fatal(err)
		}
		if got := f.way.Upstream(&failover.Member{URI: u, Name: u.Name()}); got == nil || got.Dial != up.Dial {
			t.Errorf("%s has the upstream %v", up.Dial, got)
		}
	}
}

// TestTakenOver: what the handler had for its own retries is the policy's now.
func TestTakenOver(t *testing.T) {
	f := mustLoad(t, handlerConfig(upstreams("a:1"), lb("retries", 3), lb("try_duration", "5s")))[0].policy
	l := f.handler.LoadBalancing
	if l.TryDuration != 0 || l.TryInterval != 0 || l.Retries < 1<<30 || len(l.RetryMatch) != 1 {
		t.Errorf("the handler still has %+v", l)
	}
	if f.maxRetries != 3 || f.tryDuration.String() != "5s" || f.tryInterval != 0 {
		t.Errorf("the policy has %d, %s, %s", f.maxRetries, f.tryDuration, f.tryInterval)
	}
	if match, err := l.RetryMatch.AnyMatchWithError(nil); match || err != nil {
		t.Errorf("Caddy would repeat by itself: %t, %v", match, err)
	}
}
