// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// TestMetricsOfLoads: Caddy registers its metrics of the last load with each
// configuration, by these names, and what is said of a load is there.
func TestMetricsOfLoads(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	registry := ctx.GetMetricsRegistry()
	value := func(name string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatalf("Caddy has no metric %s", name)
		return 0
	}
	const success, at = "caddy_config_last_reload_successful", "caddy_config_last_reload_success_timestamp_seconds"
	Loaded(registry, true)
	if value(success) != 1 || value(at) == 0 {
		t.Errorf("after a load they are %v, %v", value(success), value(at))
	}
	was := value(at)
	Loaded(registry, false)
	if value(success) != 0 || value(at) != was {
		t.Errorf("after one that failed they are %v, %v", value(success), value(at))
	}
	Loaded(registry, true)

	other := prometheus.NewRegistry()
	Loaded(other, true) // another Caddy may have others: nothing is added
	if families, _ := other.Gather(); len(families) != 0 {
		t.Errorf("added were %v", families)
	}
}
