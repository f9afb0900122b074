// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// poolKeeper owns what the parent keeps of a child's pools for when its process is
// gone: what the operator and experience taught them, from which every process that
// begins to serve starts, and the sockets on which the parent may answer. Of
// several processes the one counts that was activated last; what an older one still
// says about the pools is refused.
type poolKeeper struct {
	mu      sync.Mutex
	serving int // id of the process that was activated last
	state   poolstate.State
	sockets []string
}

// errReplaced says that a report about the pools came from a process that is not,
// or no longer, the one that serves.
var errReplaced = errors.New("another process serves")

// activate makes process id the one that counts, and returns what it starts from.
func (k *poolKeeper) activate(id int) poolstate.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serving = id
	return k.state
}

// take keeps what process id says of the pools.
func (k *poolKeeper) take(id int, s poolstate.State) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id != k.serving {
		return errReplaced
	}
	k.state = s
	return nil
}

// takePlain keeps the sockets on which process id speaks plain HTTP/1.
func (k *poolKeeper) takePlain(id int, sockets []string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if id != k.serving {
		return errReplaced
	}
	k.sockets = sockets
	return nil
}

// plain are the sockets on which the parent may answer.
func (k *poolKeeper) plain() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sockets
}

// activated is told to a process that becomes the one that serves.
func (c *Hosted) activated(id int) json.RawMessage {
	data, err := json.Marshal(c.pools.activate(id))
	if err != nil {
		return nil
	}
	return data
}

// poolEvent is the name of an event of a pool: a child has no others to tell of.
var poolEvent = regexp.MustCompile(`^failover_[a-z_]+$`)

// reported takes what a process of the child has to say.
func (c *Hosted) reported(id int, topic string, data json.RawMessage) error {
	switch topic {
	case parlance.TopicPools:
		var s poolstate.State
		if err := json.Unmarshal(data, &s); err != nil {
			return fmt.Errorf("reading the state of pools: %w", err)
		}
		return c.pools.take(id, s)
	case parlance.TopicPlain:
		var sockets []string
		if err := json.Unmarshal(data, &sockets); err != nil {
			return fmt.Errorf("reading the list of plain sockets: %w", err)
		}
		return c.pools.takePlain(id, sockets)
	case parlance.TopicEvent:
		var e supervisor.Event
		if json.Unmarshal(data, &e) == nil && poolEvent.MatchString(e.Name) {
			host.events.hub.send(e)
		}
	case parlance.TopicDoubt:
		var d indoubt.Record
		if json.Unmarshal(data, &d) == nil {
			host.doubts.Add(d)
		}
	case parlance.TopicCut:
		var cut []indoubt.Record
		if json.Unmarshal(data, &cut) == nil && len(cut) > 0 {
			c.cutOff(cut)
		}
	}
	return nil
}

// cutOff notes the requests in doubt that the end of a process left.
func (c *Hosted) cutOff(cut []indoubt.Record) {
	for _, d := range cut {
		host.doubts.Add(d)
	}
	c.inDoubt.Add(uint64(len(cut)))
	host.events.put(supervisor.Event{Name: "failover_in_doubt", Data: map[string]any{
		"child": c.name, "requests": len(cut), "reason": cut[0].Reason, "code": "DISCONNECT", "failed_over": false,
	}})
}
