// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
)

// Lower makes Caddy's metric of healthy upstreams say 0 of those that down reports, which
// gets their dial addresses. Caddy itself knows of its own health checks only, without
// which everything is healthy.
//
// It is to be called when a configuration has started, with its registry: a reverse proxy
// that is provisioned later expects to find Caddy's own collector there. More calls do
// nothing.
func Lower(registry *prometheus.Registry, down func() func(dial string) bool) {
	twin := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "caddy_reverse_proxy_upstreams_healthy", Help: "Health status of reverse proxy upstreams."}, []string{"upstream"})
	err := registry.Register(twin)
	there, twice := errors.AsType[prometheus.AlreadyRegisteredError](err)
	if !twice {
		if err == nil {
			registry.Unregister(twin)
		}
		return
	}
	if caddys, ok := there.ExistingCollector.(*prometheus.GaugeVec); ok {
		registry.Unregister(caddys)
		_ = registry.Register(lowered{caddys, down}) // its place has just become free
	}
}

// lowered is Caddy's collector of healthy upstreams, corrected.
type lowered struct {
	*prometheus.GaugeVec
	down func() func(dial string) bool
}

// Collect sends what Caddy's has.
func (l lowered) Collect(ch chan<- prometheus.Metric) {
	all := make(chan prometheus.Metric)
	go func() {
		defer close(all)
		l.GaugeVec.Collect(all)
	}()
	down := l.down()
	for m := range all {
		ch <- loweredMetric{m, down}
	}
}

type loweredMetric struct {
	prometheus.Metric
	down func(dial string) bool
}

// Write writes 0 for an upstream that is down.
func (m loweredMetric) Write(out *dto.Metric) error {
	if err := m.Metric.Write(out); err != nil {
		return err
	}
	for _, l := range out.GetLabel() {
		if l.GetName() == "upstream" && m.down(l.GetValue()) && out.GetGauge() != nil {
			out.Gauge = &dto.Gauge{Value: proto.Float64(0)}
		}
	}
	return nil
}
