// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// awaitMetric waits until a metric at path is as ok wishes.
func awaitMetric(t *testing.T, b *harness.Broker, ok func(float64) bool, path, name string, labels ...string) {
	t.Helper()
	err := harness.Until(t.Context(), soon, func() error {
		got, err := b.Metric(t.Context(), path, name, labels...)
		if err == nil && !ok(got) {
			err = fmt.Errorf("%s%v is %v", name, labels, got)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func positive(n float64) bool { return n > 0 }

// What clients hear of a balancer that leaves, and of which ones they hear at
// all, is for the balancer to say that they ask.
func TestWhatClientsHear(t *testing.T) {
	t.Parallel()
	const host = "127.0.0.1"
	const key = "key 0123456789abcdef"
	const onRemove = "update_cluster_clients_on_remove"
	removes := newEdge(t, "edge1", host, key, onRemove).start(t)
	seeds := "seeds " + removes.gossip
	keeps := newEdge(t, "edge2", host, key, seeds)
	// An expression has to match the whole name.
	filters := newEdge(t, "edge3", host, key, seeds, onRemove, "update_cluster_filter dge1 edge[4-9]")
	// Networks work without --ha as well.
	silent := newEdge(t, "edge4", host, key, seeds, "update_cluster_filter nobody").alone()
	startEdges(t, keeps, filters, silent)
	port := freePort(t)
	front := startBroker(t, frontFile, "SITES="+
		frontSite(freePort(t), "removes", removes, "update_uris_allow "+addresses(silent))+
		frontSite(port, "keeps", keeps, "affinity request", "max_reconnect_delay 1s", "update_uris_allow "+addresses(silent))+
		frontSite(freePort(t), "filters", filters, "update_uris_allow "+addresses(removes, keeps, silent)))
	all := func() {
		t.Helper()
		awaitMembers(t, front, "removes", removes.addr+" up", silent.addr+" up")
		awaitMembers(t, front, "keeps", keeps.addr+" up", silent.addr+" up")
		awaitMembers(t, front, "filters", filters.addr+" up", silent.addr+" up")
	}
	all()

	// Refusals are counted: the first pool hears of balancers that it must not
	// take, the last one hears of none.
	const metrics = "/broker/children/default/admin/metrics"
	awaitMetric(t, front, positive, metrics, "caddy_failover_uris_refused_total", `pool="removes"`, `reason="not_allowed"`)
	if n, err := front.Metric(t.Context(), metrics, "caddy_failover_uris_refused_total", `pool="filters"`); err != nil || n != 0 {
		t.Errorf("%v addresses were refused that the filter should have kept back (%v)", n, err)
	}

	if err := silent.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitMembers(t, front, "removes", removes.addr+" up")
	awaitMembers(t, front, "filters", filters.addr+" up")
	ask := func() { // by chance, each member is asked
		for range 20 {
			get(t, "127.0.0.1:"+port)
		}
	}
	ask()
	awaitMembers(t, front, "keeps", keeps.addr+" up", silent.addr+" down")
	if list := getPath(t, keeps.addr, "/.well-known/broker-uris"); !strings.Contains(list, silent.addr) {
		t.Errorf("edge2 does not tell any more of the balancer that left: %q", list)
	}
	silent.start(t)
	awaitMembers(t, front, "keeps", keeps.addr+" up", silent.addr+" trial")
	ask()
	all()

	// One that does not know the key is refused and counted, and nobody hears of it.
	newEdge(t, "stranger", host, "key fedcba9876543210", seeds).alone().start(t)
	awaitMetric(t, removes.Broker, positive, "/metrics", "caddy_broker_network_refused_total")
	awaitMetric(t, removes.Broker, func(n float64) bool { return n == 3 }, "/metrics", "caddy_broker_network_members")
}
