// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// awaitList waits until a balancer tells its clients of these and no others.
func (e *edge) awaitList(t *testing.T, want ...*edge) {
	t.Helper()
	err := harness.Until(t.Context(), 2*soon, func() error {
		list := strings.Fields(getPath(t, e.addr, "/.well-known/broker-uris"))
		var missing []string
		for _, o := range want {
			if !slices.Contains(list, "http://"+o.addr) {
				missing = append(missing, o.name)
			}
		}
		if len(missing) > 0 || len(list) != len(want) {
			return fmt.Errorf("%s tells of %v, without %v", e.name, list, missing)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A network that was never whole becomes one, is cut in two, and heals. A client
// of all its balancers loses none of them, and no request.
func TestPartitionHeals(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		addMachine(t, "left", "10.77.1.1", "10.77.1.2")
		addMachine(t, "right", "10.77.2.3", "10.77.2.4")
		// Isolated ports of the bridge reach the test, and not each other.
		cut := func(state string) {
			t.Helper()
			ip(t, "link set vleft type bridge_slave isolated "+state)
			ip(t, "link set vright type bridge_slave isolated "+state)
		}
		const key = "key 0123456789abcdef"
		var edges []*edge
		add := func(machine, host string, options ...string) *edge {
			t.Helper()
			options = append(options, key, "update_cluster_clients_on_remove")
			e := newEdge(t, fmt.Sprint("edge", len(edges)+1), host, options...)
			e.MoveTo(machine, host)
			edges = append(edges, e.start(t))
			return e
		}
		cut("on")
		one := add("left", "10.77.1.1")
		two := add("left", "10.77.1.2", "seeds "+one.gossip)
		three := add("right", "10.77.2.3", "seeds "+one.gossip) // not reached
		four := add("right", "10.77.2.4", "seeds "+three.gossip)
		one.awaitList(t, one, two)
		three.awaitList(t, three, four)
		cut("off")
		for _, e := range edges {
			e.awaitList(t, edges...)
		}

		port := freePort(t)
		front := startBroker(t, frontFile, "SITES="+frontSite(port, "edges", one,
			"affinity request", "update_uris_allow "+addresses(edges...)))
		var all []string
		for _, e := range edges {
			all = append(all, e.addr+" up")
		}
		awaitMembers(t, front, "edges", all...)
		load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 50, Name: "partition"}
		run := load.Start(t.Context())
		sent(t, run, 50)
		cut("on")
		for _, e := range []*edge{one, two} {
			e.awaitList(t, one, two)
		}
		for _, e := range []*edge{three, four} {
			e.awaitList(t, three, four)
		}
		awaitMembers(t, front, "edges", all...)
		cut("off")
		for _, e := range edges {
			e.awaitList(t, edges...)
		}
		awaitMembers(t, front, "edges", all...)
		sent(t, run, 50)
		if by := served(t, run.Stop()); len(by) != len(edges) {
			t.Errorf("answers by balancer: %v", by)
		}
	})
}
