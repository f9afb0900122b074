// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
	"github.com/caddy-broker/caddy-broker/module/proxy"
)

// childStart takes what this process starts with.
func childStart(data json.RawMessage) {
	var d parlance.ChildData
	if len(data) > 0 {
		if err := json.Unmarshal(data, &d); err != nil {
			caddy.Log().Named("broker").Error("reading what this process starts with", zap.Error(err))
		}
	}
	takeParent(d.Parent)
	proxy.Hold() // until this process is activated
}

// told is what the parent says later. It belongs to the goroutine of the link.
type told struct {
	kept poolstate.Kept // what it keeps of the pools: it comes right before this process serves
}

// take takes one thing that is said.
func (t *told) take(topic string, data json.RawMessage) {
	if known, err := t.kept.Take(topic, data); err != nil {
		caddy.Log().Named("broker").Error("reading the pools' state", zap.Error(err))
	} else if known {
		return
	}
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

// pools is what the parent keeps of the pools; it is given away.
func (t *told) pools() *poolstate.Kept {
	kept := t.kept
	t.kept = poolstate.Kept{}
	return &kept
}

func takeParent(p parlance.ParentState) {
	socket.SetParent(p.Listens)
	cluster.SetState(p.Network)
}
