// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Loaded makes Caddy's own two metrics of the last load say how one ended of which Caddy
// does not know: its registry hands out the gauges to those that register their twins.
func Loaded(registry *prometheus.Registry, ok bool) {
	success := registered(registry, "caddy_config_last_reload_successful", "Whether the last configuration reload attempt was successful.")
	if success == nil {
		return
	}
	if !ok {
		success.Set(0)
		return
	}
	success.Set(1)
	if at := registered(registry, "caddy_config_last_reload_success_timestamp_seconds", "Timestamp of the last successful configuration reload."); at != nil {
		at.SetToCurrentTime()
	}
}

// registered is the gauge of that name and help, nil if there is none.
func registered(registry *prometheus.Registry, name, help string) prometheus.Gauge {
	twin := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	err := registry.Register(twin)
	there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err)
	if !ok {
		if err == nil {
			registry.Unregister(twin)
		}
		return nil
	}
	gauge, _ := there.ExistingCollector.(prometheus.Gauge)
	return gauge
}
