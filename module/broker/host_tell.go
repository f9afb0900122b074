// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
)

// parentNow is what children shall know now.
func parentNow() parlance.ParentState {
	state, _ := cluster.State()
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
func (c *Hosted) hello() json.RawMessage {
	data, err := json.Marshal(parlance.ChildData{Parent: parentNow()})
	if err != nil {
		return nil
	}
	return data
}
