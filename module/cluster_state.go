// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

// network is what this process knows of the network of brokers. Every request
// reads it.
var network = newNetworkBook()

type networkBook struct {
	mu  sync.Mutex // one change at a time
	now atomic.Pointer[networkView]
}

// networkView is one state of the book, immutable.
type networkView struct {
	state   *parlance.NetworkState // nil without a network
	all     map[string]bool
	changed chan struct{} // closed when there is another view
}

func newNetworkBook() *networkBook {
	b := new(networkBook)
	b.now.Store(&networkView{changed: make(chan struct{})})
	return b
}

func (b *networkBook) set(s *parlance.NetworkState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.now.Load()
	if reflect.DeepEqual(old.state, s) {
		return
	}
	v := &networkView{state: s, all: make(map[string]bool), changed: make(chan struct{})}
	if s != nil {
		for _, text := range s.All {
			if u, err := address.ParseURI(text); err == nil {
				v.all[networkKey(u.Host, u.Port)] = true
			}
		}
	}
	b.now.Store(v)
	close(old.changed)
}

// get is the state and what is closed when it changes.
func (b *networkBook) get() (*parlance.NetworkState, <-chan struct{}) {
	v := b.now.Load()
	return v.state, v.changed
}

// networkHas tells whether a balancer of our own network advertises that host and
// port, whatever its scheme.
func networkHas(host, port string) bool { return network.now.Load().all[networkKey(host, port)] }

// networkKey is the same for all spellings of an address.
func networkKey(host, port string) string {
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		host = membership.Destination(ip).String()
	}
	return net.JoinHostPort(host, port)
}

// clusterHost keeps the network of the configuration in effect. host.turn is held
// by whoever calls it.
type clusterHost struct{ node *clusterNode }

// apply makes the network what a configuration wants.
func (c *clusterHost) apply(want *Network, logger *zap.Logger) error {
	if c.node != nil && want != nil && c.node.cfg.equal(want) {
		return nil
	}
	c.end()
	if want == nil {
		return nil
	}
	node, err := startCluster(want, logger.Named("network"), func(s *parlance.NetworkState) {
		network.set(s)
		host.tellParent()
	})
	if err != nil {
		return err
	}
	c.node = node
	return nil
}

// end leaves the network.
func (c *clusterHost) end() {
	if c.node == nil {
		return
	}
	c.node.leave()
	c.node = nil
	network.set(nil)
	host.tellParent()
}

// parentNow is what children shall know now.
func parentNow() parlance.ParentState {
	state, _ := network.get()
	listens, _ := socket.Listening()
	return parlance.ParentState{Network: state, Listens: listens}
}

// tellParent tells all children of a change.
func (h *hostState) tellParent() {
	data, err := json.Marshal(parentNow())
	if err != nil {
		return
	}
	for _, c := range h.list() {
		c.sup.Tell(parlance.TopicParent, data)
	}
}

// hello is what a new process of the child is told.
func (c *hosted) hello() json.RawMessage {
	data, err := json.Marshal(parlance.ChildData{Parent: parentNow()})
	if err != nil {
		return nil
	}
	return data
}

// childStart takes what this process starts with.
func childStart(data json.RawMessage) {
	var d parlance.ChildData
	if len(data) > 0 {
		if err := json.Unmarshal(data, &d); err != nil {
			caddy.Log().Named("broker").Error("reading what this process starts with", zap.Error(err))
		}
	}
	takeParent(d.Parent)
	pools.hold() // until this process is activated
}

// childTold takes what the parent says later.
func childTold(topic string, data json.RawMessage) {
	if topic != parlance.TopicParent {
		return
	}
	var p parlance.ParentState
	if err := json.Unmarshal(data, &p); err != nil {
		caddy.Log().Named("broker").Error("reading the parent's state", zap.Error(err))
		return
	}
	takeParent(p)
}

func takeParent(p parlance.ParentState) {
	socket.SetParent(p.Listens)
	network.set(p.Network)
}
