// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

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
