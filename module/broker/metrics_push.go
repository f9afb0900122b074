// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/document"
)

// pusher sends the metrics of children and network to where Caddy sends those of the
// sites, while the user's configuration has the option `metrics` with `otlp`. Caddy's own
// pushing is part of the sites and so is in the child: it has neither these metrics nor
// anything to say when there is no child.
//
// Whereto, how and how often is in the variables OTEL_… of the environment, as for Caddy.
// The zero value sends nothing.
type pusher struct{ provider *metric.MeterProvider }

// pushTime bounds the last push, so that a collector that does not answer holds up nothing.
const pushTime = 2 * time.Second

// follow sends from now on if d asks for it, and else nothing.
func (p *pusher) follow(d *document.Document, logger *zap.Logger) {
	if d == nil || !pushed(d.Config()) {
		p.end(logger)
		return
	}
	if p.provider != nil {
		return
	}
	var err error
	if p.provider, err = newProvider(); err != nil {
		logger.Warn("metrics of the broker are not pushed: check the variables OTEL_ of its environment", zap.Error(err))
	}
}

// end sends what there is, and nothing more.
func (p *pusher) end(logger *zap.Logger) {
	if p.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pushTime)
	defer cancel()
	if err := p.provider.Shutdown(ctx); err != nil {
		logger.Warn("pushing metrics of the broker for the last time", zap.Error(err))
	}
	p.provider = nil
}

// pushed reports whether a configuration has the option.
func pushed(config any) bool {
	for _, key := range []string{"apps", "http", "metrics", "otlp"} {
		object, _ := config.(map[string]any)
		config = object[key]
	}
	on, _ := config.(bool)
	return on
}

// newProvider makes what pushes. An exporter that is scraped has a port that the child
// needs: its metrics are those of the admin endpoint anyway.
func newProvider() (*metric.MeterProvider, error) {
	if exporter := os.Getenv("OTEL_METRICS_EXPORTER"); strings.Contains(exporter, "prometheus") {
		return nil, fmt.Errorf("OTEL_METRICS_EXPORTER is %s: scrape the admin endpoint of the broker instead", exporter)
	}
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{childCollector{}, cluster.Collector{}} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	autoexport.WithFallbackMetricProducer(func(context.Context) (metric.Producer, error) {
		return bridge.NewMetricProducer(bridge.WithGatherer(registry)), nil
	})
	reader, err := autoexport.NewMetricReader(context.Background())
	if err != nil {
		return nil, fmt.Errorf("creating OTLP metric reader: %w", err)
	}
	version, _ := caddy.Version()
	from, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("webengine.name", caddyhttp.ServerHeader), attribute.String("webengine.version", version)))
	if err != nil {
		return nil, fmt.Errorf("describing this process: %w", err)
	}
	return metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(from)), nil
}
