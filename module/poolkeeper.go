// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"regexp"
	"slices"
	"sync"

	"github.com/caddy-broker/caddy-broker/supervisor"
)

// poolsMirror keeps what a child reported for when it is gone: what the operator
// and experience taught its pools, from which every new process starts, and the
// sockets on which the parent may answer.
type poolsMirror struct {
	mu      sync.Mutex
	state   json.RawMessage
	sockets []string
}

// hello is what a new process is told.
func (p *poolsMirror) hello() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// plain are the sockets on which the parent may answer.
func (p *poolsMirror) plain() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sockets
}

// poolEvent is the name of an event of a pool: a child has no others to tell of.
var poolEvent = regexp.MustCompile(`^failover_[a-z_]+$`)

// reported takes what a process of the child has to say.
func (c *hosted) reported(_ int, topic string, data json.RawMessage) {
	switch topic {
	case topicPools:
		if !tellable(data) {
			return
		}
		c.pools.mu.Lock()
		c.pools.state = data
		c.pools.mu.Unlock()
		c.sup.Tell(topicPools, data) // spares start from it, too
	case topicPlain:
		var sockets []string
		if json.Unmarshal(data, &sockets) == nil {
			c.pools.mu.Lock()
			c.pools.sockets = sockets
			c.pools.mu.Unlock()
		}
	case topicEvent:
		var e supervisor.Event
		if json.Unmarshal(data, &e) == nil && poolEvent.MatchString(e.Name) {
			host.events.hub.send(e)
		}
	case topicDoubt:
		var d doubtRecord
		if json.Unmarshal(data, &d) == nil {
			host.doubts.add(d)
		}
	case topicCut:
		var cut []doubtRecord
		if json.Unmarshal(data, &cut) == nil && len(cut) > 0 {
			c.cutOff(cut)
		}
	}
}

// tellable tells whether a new process can read data within what it is told, a
// message with an object in it: JSON that is nested too deep is refused.
func tellable(data json.RawMessage) bool {
	return json.Valid(slices.Concat([]byte("[["), data, []byte("]]")))
}

// cutOff notes the requests in doubt that the end of a process left.
func (c *hosted) cutOff(cut []doubtRecord) {
	for _, d := range cut {
		host.doubts.add(d)
	}
	c.inDoubt.Add(uint64(len(cut)))
	host.events.put(supervisor.Event{Name: "failover_in_doubt", Data: map[string]any{
		"child": c.name, "requests": len(cut), "reason": cut[0].Reason, "code": "DISCONNECT", "failed_over": false,
	}})
}
