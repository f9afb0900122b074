// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// edgeFile is a balancer of a network that answers by itself, with its name.
const edgeFile = `{
	admin {$ADMIN}
	broker {
		ha_log off
		network {
			name {$NAME}
			advertise http://{$HOST}:{$PORT}
			bind {$HOST}:{$GOSSIP}
			update_cluster_clients
			{$OPTIONS}
		}
	}
}
http://:{$PORT} {
	bind {$HOST}
	broker_uris
	header ` + harness.BackendName + ` {$NAME}
	respond "{$NAME}"
}
`

// edge is a balancer of a network.
type edge struct {
	*harness.Broker
	name, addr, gossip string
}

// newEdge is one at an IP address with further options of its network. It is
// not started.
func newEdge(t *testing.T, name, host string, options ...string) *edge {
	t.Helper()
	port, gossip := freePort(t), gossipPort(t)
	e := &edge{name: name, addr: net.JoinHostPort(host, port), gossip: net.JoinHostPort(host, gossip)}
	e.Broker = newBroker(t, edgeFile, "NAME="+name, "HOST="+host, "PORT="+port, "GOSSIP="+gossip,
		"OPTIONS="+strings.Join(options, "\n"))
	return e
}

func (e *edge) start(t *testing.T) *edge {
	t.Helper()
	startEdges(t, e)
	return e
}

// startEdges starts several at a time: most of the time of a start is waiting.
func startEdges(t *testing.T, edges ...*edge) {
	t.Helper()
	for _, e := range edges {
		if err := e.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range edges {
		if e.Args == nil {
			awaitActive(t, e.Broker, 0)
		}
	}
}

// alone makes the balancer one process without a child. Nothing waits until it
// serves.
func (e *edge) alone() *edge {
	e.Args = []string{"broker", "run", "--config", "{}"}
	return e
}

// frontFile is a balancer in front of others; {$SITES} is one pool or several.
const frontFile = `{
	admin {$ADMIN}
	broker {
		ha_log off
	}
}
{$SITES}
`

// frontSite is a site whose pool has one backend and takes what that announces,
// as far as it is allowed.
func frontSite(port, pool string, backend *edge, options ...string) string {
	return fmt.Sprintf("http://:%s {\n\treverse_proxy %s {\n\t\tlb_policy failover {\n\t\t\tpool %s\n\t\t\t%s\n\t\t}\n\t}\n}\n",
		port, backend.addr, pool, strings.Join(options, "\n\t\t\t"))
}

// addresses of balancers, as update_uris_allow has them.
func addresses(edges ...*edge) string {
	var list []string
	for _, e := range edges {
		list = append(list, e.addr)
	}
	return strings.Join(list, " ")
}

// awaitMembers waits until a pool has these members and no others, each written
// as address and state.
func awaitMembers(t *testing.T, b *harness.Broker, pool string, want ...string) {
	t.Helper()
	slices.Sort(want)
	err := harness.Until(t.Context(), soon, func() error {
		got, err := poolMembers(t, b, pool)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("members of pool %s are %v, want %v", pool, got, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func poolMembers(t *testing.T, b *harness.Broker, pool string) ([]string, error) {
	var status struct {
		Upstreams []struct{ URI, State string } `json:"upstreams"`
	}
	err := b.Admin(t.Context(), "GET", "/broker/pools/"+pool, &status)
	var list []string
	for _, u := range status.Upstreams {
		list = append(list, strings.TrimPrefix(u.URI, "http://")+" "+u.State)
	}
	slices.Sort(list)
	return list, err
}

// clients is how many clients the tests of spreading have.
const clients = 10_000

// whoServes sends one request for each client and returns who answered it.
func whoServes(t *testing.T, addr string) map[int]string {
	t.Helper()
	const senders = 8
	served := make([]string, clients)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			client := &harness.Client{Addr: addr, KeepAlive: true, Watch: true}
			defer client.Close()
			for n := s; n < clients; n += senders {
				req := harness.Request{Method: "GET", Header: http.Header{"X-Client": {fmt.Sprint("client ", n)}}}
				res := client.Do(t.Context(), fmt.Sprint(n), time.Now(), req)
				if res.Fate != harness.OK {
					t.Errorf("client %d: %s %d (%v)", n, res.Fate, res.Status, res.Err)
					return
				}
				served[n] = res.Header.Get(harness.BackendName)
			}
		})
	}
	wg.Wait()
	all := make(map[int]string, clients)
	for n, name := range served {
		all[n] = name
	}
	return all
}

// A fourth balancer gets its share of 10,000 clients, and nobody moves who does
// not belong to it; when it leaves, its clients are back where they were.
func TestNewcomerTakesItsShare(t *testing.T) {
	t.Parallel()
	const host = "127.0.0.1"
	first := newEdge(t, "edge1", host, "update_cluster_clients_on_remove").start(t)
	edges := []*edge{first}
	for n := 2; n <= 4; n++ {
		edges = append(edges, newEdge(t, fmt.Sprint("edge", n), host, "update_cluster_clients_on_remove", "seeds "+first.gossip))
	}
	startEdges(t, edges[1:3]...)
	port := freePort(t)
	front := startBroker(t, frontFile, "SITES="+frontSite(port, "edges", first,
		"affinity header X-Client", "update_uris_allow "+addresses(edges...)))
	up := func(edges ...*edge) (list []string) {
		for _, e := range edges {
			list = append(list, e.addr+" up")
		}
		return list
	}
	awaitMembers(t, front, "edges", up(edges[:3]...)...)
	before := whoServes(t, "127.0.0.1:"+port)

	edges[3].start(t)
	awaitMembers(t, front, "edges", up(edges...)...)
	with := whoServes(t, "127.0.0.1:"+port)
	share := map[string]int{}
	for n, name := range with {
		share[name]++
		if name != before[n] && name != "edge4" {
			t.Errorf("client %d moved from %s to %s, which was there before", n, before[n], name)
		}
	}
	t.Logf("clients by balancer: %v", share)
	// Its share is 2,500. By chance alone one in a million runs is out of this.
	if got := share["edge4"]; got < 2_250 || got > 2_750 {
		t.Errorf("the newcomer serves %d of %d clients", got, clients)
	}

	if err := edges[3].Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitMembers(t, front, "edges", up(edges[:3]...)...)
	if after := whoServes(t, "127.0.0.1:"+port); !maps.Equal(before, after) {
		moved := 0
		for n := range before {
			if before[n] != after[n] {
				moved++
			}
		}
		t.Errorf("%d clients are not where they were before the newcomer came and went", moved)
	}
}
