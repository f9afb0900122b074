// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"sync"

	"github.com/caddy-broker/caddy-broker/supervisor"
)

// Topics of reports from a child.
const (
	topicPools = "pools" // the state of the pools worth keeping, whole
	topicEvent = "event" // something happened to a pool
)

// poolsMirror keeps what a child reported for when it is gone: what the operator
// and experience taught its pools, from which every new process starts, and the
// sockets on which the parent may answer.
type poolsMirror struct {
	mu      sync.Mutex
	state   json.RawMessage
	sockets []string // those on which the parent may answer
}

func (p *poolsMirror) hello() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *poolsMirror) keep(state json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

// reported takes what a process of the child has to say.
func (c *hosted) reported(_ int, topic string, data json.RawMessage) {
	switch topic {
	case topicPools:
		c.pools.keep(data)
	case topicPlain:
		var sockets []string
		if json.Unmarshal(data, &sockets) == nil {
			c.pools.mu.Lock()
			c.pools.sockets = sockets
			c.pools.mu.Unlock()
		}
	case topicEvent:
		var e supervisor.Event
		if json.Unmarshal(data, &e) == nil {
			host.events.hub.send(e)
		}
	}
}

func (c *hosted) plain() []string {
	c.pools.mu.Lock()
	defer c.pools.mu.Unlock()
	return c.pools.sockets
}
