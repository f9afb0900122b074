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
	for name := range families {
		if slices.ContainsFunc(ownFamilies, func(own string) bool { return strings.HasPrefix(name, own) }) {
			delete(families, name)
		}
	}
	return families, nil
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
