// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// On makes Caddy call do for an event of a configuration's life: started or
// stopping. It is to be called while the configuration is provisioned.
func On(events *caddyevents.App, name string, do func()) error {
	return events.On(name, handler{do})
}

// handler handles an event of Caddy's life cycle.
type handler struct{ do func() }

// Handle does what is to be done.
func (h handler) Handle(context.Context, caddy.Event) error {
	h.do()
	return nil
}

// MarshalText is what a debug log shows of the handler.
func (handler) MarshalText() ([]byte, error) { return []byte("caddy-broker"), nil }
