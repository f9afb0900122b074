// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"

	"github.com/caddy-broker/caddy-broker/module/child"
)

// ownFamilies begin the names of metrics that every process has for itself.
var ownFamilies = []string{"go_", "process_", "promhttp_", "caddy_admin_", "caddy_config_", "caddy_broker_"}

// forwardCollector makes the metrics of the sites part of the parent's: it asks
// the active process of the child `default` when it is scraped. Whoever scrapes
// Caddy's metrics endpoint finds them where they are without a supervised child. A
// child that does not answer in time lacks until the next scrape.
//
// It leaves everything out while this process has sites of its own, whose
// metrics would be the same.
type forwardCollector struct{ logger *zap.Logger }

// Describe sends nothing: what there is depends on the child's configuration.
func (forwardCollector) Describe(chan<- *prometheus.Desc) {}

// Collect sends what the child has.
func (f forwardCollector) Collect(ch chan<- prometheus.Metric) {
	if sites, err := caddy.ActiveContext().AppIfConfigured("http"); sites != nil || err != nil && !errors.Is(err, caddy.ErrNotConfigured) {
		return
	}
	c := host.child(DefaultChild)
	if c == nil {
		return
	}
	families, err := c.families(context.Background())
	if err != nil {
		f.logger.Debug("getting metrics of child", zap.String("child", c.name), zap.Error(err))
		return
	}
	for _, family := range families {
		// The description's labels are not looked at: the metric has its own.
		desc := prometheus.NewDesc(family.GetName(), family.GetHelp(), nil, nil)
		for _, m := range family.GetMetric() {
			if !slices.ContainsFunc(m.GetLabel(), isGuard) {
				ch <- forwardedMetric{desc, m}
			}
		}
	}
}

// isGuard reports whether a metric is that of our own handler in front of every
// site: it counts each request once more.
func isGuard(l *dto.LabelPair) bool {
	return l.GetName() == "handler" && l.GetValue() == child.GuardName
}

// families are the metrics of the active process that are not its own.
func (c *Hosted) families(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	text, err := c.Ask(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	agreeOnHealth(families)
	for name := range families {
		if slices.ContainsFunc(ownFamilies, func(own string) bool { return strings.HasPrefix(name, own) }) {
			delete(families, name)
		}
	}
	return families, nil
}

// agreeOnHealth makes Caddy's metric of healthy upstreams say what the pools know: Caddy
// itself knows only of its own health checks, without which everything is healthy. An
// upstream of several pools is healthy if it is in each that has it.
func agreeOnHealth(families map[string]*dto.MetricFamily) {
	down := downIn(families)
	for _, m := range families["caddy_reverse_proxy_upstreams_healthy"].GetMetric() {
		if down[label(m, "upstream")] && m.Gauge != nil {
			m.Gauge.Value = proto.Float64(0)
		}
	}
}

// downIn are the upstreams of pools that take no requests, as Caddy names them.
func downIn(families map[string]*dto.MetricFamily) map[string]bool {
	down := make(map[string]bool)
	for _, m := range families["caddy_failover_upstream_up"].GetMetric() {
		if m.GetGauge().GetValue() == 0 {
			down[dialOf(label(m, "upstream"))] = true
		}
	}
	return down
}

// Down returns the upstreams of the child's pools that take no requests, as Caddy names them.
func (c *Hosted) Down(ctx context.Context) (map[string]bool, error) {
	families, err := c.families(ctx)
	if err != nil {
		return nil, err
	}
	return downIn(families), nil
}

// label is the value of a metric's label.
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// dialOf is an upstream's name as Caddy has it, which is without the scheme.
func dialOf(name string) string {
	if _, hostport, ok := strings.Cut(name, "://"); ok {
		return hostport
	}
	return name
}

// forwardedMetric is a metric as another process has it.
type forwardedMetric struct {
	desc   *prometheus.Desc
	metric *dto.Metric
}

// Desc is its name and help.
func (m forwardedMetric) Desc() *prometheus.Desc { return m.desc }

// Write copies its labels and values.
func (m forwardedMetric) Write(out *dto.Metric) error {
	proto.Merge(out, m.metric)
	return nil
}
