// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricOfHealthyUpstreams: Caddy registers its metric of healthy upstreams with the
// configuration, by this name, and with a label upstream that is the dial address.
func TestMetricOfHealthyUpstreams(t *testing.T) {
	config := `{"admin": {"disabled": true}, "apps": {"http": {"servers": {"a": {"routes": [{"handle": [
		{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:1"}, {"dial": "127.0.0.1:2"}]}]}]}}}}}`
	if err := caddy.Load([]byte(config), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	ctx := caddy.ActiveContext()
	registry := ctx.GetMetricsRegistry()
	down := func() func(string) bool { return func(dial string) bool { return dial == "127.0.0.1:2" } }
	for range 2 {
		Lower(registry, down)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			if f.GetName() == "caddy_reverse_proxy_upstreams_healthy" {
				for _, m := range f.GetMetric() {
					got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		if len(got) != 2 || got["127.0.0.1:1"] != 1 || got["127.0.0.1:2"] != 0 {
			t.Errorf("it says %v", got)
		}
	}

	other := prometheus.NewRegistry()
	Lower(other, down) // another Caddy may have another one: nothing is added
	if families, _ := other.Gather(); len(families) != 0 {
		t.Errorf("added were %v", families)
	}
}
