// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// onLife makes Caddy call do for an event of a configuration's life: started or
// stopping. It is to be called while the configuration is provisioned.
func onLife(events *caddyevents.App, name string, do func()) error {
	return events.On(name, lifeHandler{do})
}

// lifeHandler handles an event of Caddy's life cycle.
type lifeHandler struct{ do func() }

// Handle does what is to be done.
func (h lifeHandler) Handle(context.Context, caddy.Event) error {
	h.do()
	return nil
}

// MarshalText is what a debug log shows of the handler.
func (lifeHandler) MarshalText() ([]byte, error) { return []byte("caddy-broker"), nil }
