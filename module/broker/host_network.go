// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// clusterHost keeps the network of the configuration in effect. host.turn is held
// by whoever calls it.
type clusterHost struct{ node *cluster.Node }

// apply makes the network what a configuration wants.
func (c *clusterHost) apply(want *cluster.Network, logger *zap.Logger) error {
	if c.node != nil && want != nil && c.node.Runs(want) {
		return nil
	}
	c.end()
	if want == nil {
		return nil
	}
	node, err := cluster.Start(want, logger.Named("network"), func(s *parlance.NetworkState) {
		cluster.SetState(s)
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
	c.node.Leave()
	c.node = nil
	cluster.SetState(nil)
	host.tellParent()
}
