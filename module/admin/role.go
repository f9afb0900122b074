// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/child"
)

// role is what a process is, as far as its admin endpoint is concerned.
type role uint8

const (
	// rolePlain supervises nothing: Caddy's admin endpoint is Caddy's.
	rolePlain role = iota
	// roleParent supervises, or is about to: the endpoint is the user's, whose
	// configuration the child runs.
	roleParent
	// roleChild is supervised: its configuration is its parent's to change.
	roleChild
)

// Provision finds out what this process is, and refuses what would end its supervision
// behind its back. Caddy calls it when the logs and the storage of a configuration are
// open, before it touches the admin endpoint and before any app is loaded.
func (a *Admin) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	if child.Supervised() {
		a.role = roleChild
		return nil
	}
	supervises := broker.Shown() != nil
	if supervises {
		a.role = roleParent
	}
	configured, err := ctx.AppIfConfigured("broker")
	switch {
	case errors.Is(err, caddy.ErrNotConfigured) && supervises:
		return errPlain
	case errors.Is(err, caddy.ErrNotConfigured):
		return nil
	case err != nil:
		return err
	}
	app, ok := configured.(*broker.App)
	if !ok || app.Off {
		return nil
	}
	if err := app.Supervisable(); err != nil {
		return err
	}
	a.role = roleParent
	if app.Started() { // this is the remote endpoint, whose certificate needs an app that is not configured
		return nil
	}
	if err := runsNothing(ctx); err != nil {
		return err
	}
	if err := alone(ctx, app); err != nil {
		return err
	}
	broker.Expect(app)
	return nil
}

// errPlain refuses a configuration that another part of this process has loaded as it is.
var errPlain = errors.New("this process supervises what it serves, and a configuration that is loaded inside of it would end that: " +
	"post it to /load of the admin endpoint; with `broker off` it ends the supervision")

// runsNothing reports whether a configuration serves nothing by itself: all applications
// of the user's are the child's.
func runsNothing(ctx caddy.Context) error {
	for _, m := range caddy.GetModules("") {
		name := m.ID.Name()
		if broker.Supervising(name) {
			continue
		}
		if _, err := ctx.AppIfConfigured(name); !errors.Is(err, caddy.ErrNotConfigured) {
			return fmt.Errorf("apps.%s: a process that supervises runs no applications of its own", name)
		}
	}
	return nil
}
