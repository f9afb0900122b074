// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/internal/lifecycle"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

func init() {
	caddy.RegisterModule(new(Site))
}

// Site shows the console of this broker on a site, and answers every request that comes
// to it. It is answered only to who is on the same machine, has a client certificate that
// the server has verified, or was authenticated by a handler in front of it, such as
// `basic_auth`.
type Site struct {
	// ReadOnly shows the page without operations, and refuses them.
	ReadOnly bool `json:"read_only,omitempty"`

	// AuthenticatedBefore is the operator's word that something else in front of this
	// handler, such as `forward_auth` or another server, lets no request pass without
	// authentication.
	AuthenticatedBefore bool `json:"authenticated_before,omitempty"`

	logger    *zap.Logger
	transport *http.Transport
	over      <-chan struct{}
}

// CaddyModule returns the Caddy module information.
func (*Site) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers." + parlance.ConsoleHandler, New: func() caddy.Module { return new(Site) }}
}

// Provision prepares the way to the parent. When the configuration has started it says
// where the console has nothing in front that authenticates.
func (s *Site) Provision(ctx caddy.Context) error {
	s.logger = ctx.Logger()
	s.transport = &http.Transport{
		MaxIdleConns: 4, IdleConnTimeout: idleTime / 2,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return child.Connect(parlance.ConnectConsole) },
	}
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting events app: %w", err)
	}
	app, ok := events.(*caddyevents.App)
	if !ok {
		return fmt.Errorf("getting events app: it is a %T", events)
	}
	over := make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	context.AfterFunc(ctx, end)
	s.over = over
	if err := lifecycle.On(app, "stopping", end); err != nil {
		return err
	}
	return lifecycle.On(app, "started", func() { s.warn(ctx) })
}

// Cleanup closes what is idle.
func (s *Site) Cleanup() error {
	if s.transport != nil {
		s.transport.CloseIdleConnections()
	}
	return nil
}

func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	user := userOf(r)
	if !s.AuthenticatedBefore && user == "" && !known(r) {
		protect(w.Header())
		return caddyhttp.Error(http.StatusForbidden, errOpen)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() { // a page that listens to events holds up neither a reload nor the end
		select {
		case <-s.over:
		case <-child.Leaving():
		case <-ctx.Done():
			return
		}
		if r.URL.Query().Has(eventsQuery) {
			cancel()
		}
	}()
	r = r.WithContext(ctx)
	if !child.Supervised() {
		serveSite(w, r, s.ReadOnly, user)
		return nil
	}
	s.proxy(user).ServeHTTP(w, r)
	return nil
}

// errOpen says why the console is not shown.
var errOpen = errors.New("the console is shown to this machine, or with authentication in front of " + parlance.ConsoleHandler + ", such as basic_auth")

// proxy passes requests to the parent, which checks where they come from.
func (s *Site) proxy(user string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL = &url.URL{Scheme: "http", Host: "console", Path: "/", RawQuery: pr.In.URL.RawQuery}
			pr.Out.Header.Del(headerReadOnly)
			pr.Out.Header.Del("Cookie")
			pr.Out.Header.Del("Authorization")
			pr.Out.Header.Set(headerUser, user)
			if s.ReadOnly {
				pr.Out.Header.Set(headerReadOnly, "1")
			}
		},
		Transport:     s.transport,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			s.logger.Error("showing the console", zap.Error(err))
			protect(w.Header())
			_ = fail(w, http.StatusBadGateway, "The broker does not answer", err.Error())
		},
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Site)(nil)
	_ caddy.CleanerUpper          = (*Site)(nil)
	_ caddyhttp.MiddlewareHandler = (*Site)(nil)
)
