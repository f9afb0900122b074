// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// left notes the requests that a process had in progress when it ended: those that may
// have changed something are in doubt, unless the process has said so itself.
func (c *Hosted) left(exit *exits.Exit, requests []account.Request) {
	reason := overview.WhyCut(exit)
	var cut []indoubt.Record
	for i := range requests {
		r := &requests[i]
		if !r.InDoubt() || r.Told {
			continue
		}
		d := indoubt.Record{
			Time: exit.At, Pool: r.Pool, Backend: r.Backend, Method: r.Method, Host: r.Host, Path: r.Path,
			RequestID: r.ID, KeyHash: r.KeyHash, Reason: reason,
		}
		if !r.Written {
			d.Reason += "; it is not known whether a handler had begun to execute it"
		}
		if !host.doubts.Has(d, r.Begun) {
			cut = append(cut, d)
		}
	}
	unlisted := 0
	if exit.InFlight != nil {
		unlisted = exit.InFlight.UnlistedUnsafe
	}
	if len(cut)+unlisted > 0 {
		c.cutOff(cut, unlisted, reason)
	}
}

// cutOff notes the requests in doubt that the end of a process left, and so many more of
// which only that is known.
func (c *Hosted) cutOff(cut []indoubt.Record, unlisted int, reason string) {
	for _, d := range cut {
		host.doubts.Add(d)
	}
	host.state.changed()
	c.inDoubt.Add(uint64(len(cut) + unlisted))
	host.events.put(supervisor.Event{Name: "failover_in_doubt", Data: map[string]any{
		"child": c.name, "requests": len(cut) + unlisted, "reason": reason, "code": "DISCONNECT", "failed_over": false,
	}})
}
