// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// TestMetricsArePushed: where Caddy pushes the metrics of the sites the broker pushes its
// own, also while there is no child that could.
func TestMetricsArePushed(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []byte // of all that was pushed since it was last forgotten
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != "/v1/metrics" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, body...)
	}))
	t.Cleanup(collector.Close)
	await := func(what string, names ...string) {
		t.Helper()
		mu.Lock()
		got = nil
		mu.Unlock()
		if err := harness.Until(t.Context(), soon, func() error {
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if !bytes.Contains(got, []byte(name)) {
					return fmt.Errorf("%s: nothing of %s among %d bytes", what, name, len(got))
				}
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	backends, env := newBackends(t)
	start(t, backends[:2]...)
	b := startBroker(t, strings.Replace(measured, "	metrics\n", "	metrics {\n		otlp\n	}\n", 1),
		append(env, "PORT="+freePort(t), "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_METRIC_EXPORT_INTERVAL=100")...)
	await("supervised", "caddy_broker_child_up", "caddy_broker_child_starts_total", "caddy_failover_upstream_up")
	operate(t, b, "stop")
	await("without a child", "caddy_broker_child_up")
	mu.Lock()
	defer mu.Unlock()
	if bytes.Contains(got, []byte("caddy_failover_upstream_up")) || bytes.Contains(got, []byte("go_goroutines")) {
		t.Error("the broker pushes more than its own metrics")
	}
}
