// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/lifecycle"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

func init() {
	caddy.RegisterModule(new(URIs))
}

// URIs tells clients of this balancer where it and its peers are: it answers
// requests for `/.well-known/broker-uris` with a list of addresses, or with a
// stream of events for those that accept it, and passes on all others.
//
// The peers are those of the broker's network; its options
// `update_cluster_clients`, `update_cluster_clients_on_remove`,
// `rebalance_cluster_clients` and `update_cluster_filter` say what clients hear.
type URIs struct {
	// The addresses of this balancer for the clients of this listener. Default:
	// what the network advertises with the scheme of the request.
	Addresses []string `json:"addresses,omitempty"`

	own    []string
	scheme string // of own; empty for that of the request
	over   <-chan struct{}
}

// keepStream is how often a comment shows that a stream is alive.
const keepStream = 15 * time.Second

// CaddyModule returns the Caddy module information.
func (*URIs) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.broker_uris", New: func() caddy.Module { return new(URIs) }}
}

// Provision checks the addresses.
func (h *URIs) Provision(ctx caddy.Context) error {
	if err := h.follow(ctx); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	for _, text := range h.Addresses {
		u, err := address.ParseURI(repl.ReplaceAll(text, ""))
		switch {
		case err != nil:
			return fmt.Errorf("broker_uris: %w", err)
		case u.Options != (address.URIOptions{}):
			return fmt.Errorf("broker_uris: %s: options are for clients to choose: expecting scheme, host and port", text)
		case u.Scheme == address.SchemeUnix:
			return fmt.Errorf("broker_uris: %s: clients on other machines cannot reach a unix socket", text)
		case h.scheme != "" && u.Scheme != h.scheme:
			return errors.New("broker_uris: the addresses differ in their scheme: clients take a list of one scheme only")
		}
		h.scheme, h.own = u.Scheme, append(h.own, u.String())
	}
	if state, _ := cluster.State(); state == nil && len(h.own) == 0 {
		ctx.Logger().Warn("broker_uris has nothing to tell yet: give it addresses, or the broker a network", zap.String("path", parlance.PathURIs))
	}
	return nil
}

// follow makes streams end when the configuration stops. Servers wait for them
// before its context ends, at the end of the process for ever.
func (h *URIs) follow(ctx caddy.Context) error {
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting events app: %w", err)
	}
	over := make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	context.AfterFunc(ctx, end)
	h.over = over
	return lifecycle.On(events.(*caddyevents.App), "stopping", end)
}

// list is what clients of this listener are told.
func (h *URIs) list(r *http.Request, state *parlance.NetworkState) []string {
	scheme, list := h.scheme, slices.Clone(h.own)
	if scheme == "" {
		scheme = address.SchemeHTTP
		if r.TLS != nil {
			scheme = address.SchemeHTTPS
		}
	}
	add := func(addresses []string) {
		for _, a := range addresses {
			if strings.HasPrefix(a, scheme+"://") && !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	if state != nil {
		if len(h.own) == 0 {
			add(state.Addresses)
		}
		add(state.Peers)
	}
	return list
}

func (h *URIs) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.URL.Path != parlance.PathURIs {
		return next.ServeHTTP(w, r)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, fmt.Errorf("method %s is not allowed here", r.Method))
	}
	state, _ := cluster.State()
	list := h.list(r, state)
	w.Header().Set("Vary", "Accept")
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), parlance.TypeEvents) {
		return h.stream(w, r) // even with nothing to tell yet
	}
	if len(list) == 0 {
		return caddyhttp.Error(http.StatusNotFound, errors.New("this balancer has no address to tell"))
	}
	text := []byte(strings.Join(list, "\n") + "\n")
	sum := sha256.Sum256(text)
	w.Header().Set("Etag", `"`+hex.EncodeToString(sum[:12])+`"`)
	w.Header().Set("Content-Type", parlance.TypeURIs)
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	return nil
}

// stream tells of changes until the client leaves or this process does.
func (h *URIs) stream(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", parlance.TypeEvents)
	w.Header().Set("Cache-Control", "no-cache")
	out := http.NewResponseController(w)
	leaving := child.Leaving()
	keep := time.NewTicker(keepStream)
	defer keep.Stop()
	// A client that takes nothing more does not hold anything up.
	send := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(2 * keepStream))
		_, err := io.WriteString(w, text)
		return err == nil && out.Flush() == nil
	}
	var told []string
	rebalance := uint64(0)
	for first := true; ; first = false {
		state, changed := cluster.State()
		var text strings.Builder
		if list := h.list(r, state); len(list) > 0 && !slices.Equal(list, told) {
			told = list
			text.WriteString("event: uris\ndata: " + strings.Join(list, "\ndata: ") + "\n\n")
		}
		if state != nil && state.Rebalance != rebalance {
			rebalance = state.Rebalance
			if !first {
				text.WriteString("event: rebalance\ndata:\n\n")
			}
		}
		if first && text.Len() == 0 {
			text.WriteString(":\n\n") // nothing to tell yet, but this is the stream
		}
		if text.Len() > 0 && !send(text.String()) {
			return nil
		}
		select {
		case <-changed:
		case <-keep.C:
			if !send(":\n\n") {
				return nil
			}
		case <-r.Context().Done():
			return nil
		case <-h.over:
			return nil
		case <-leaving:
			return nil
		}
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*URIs)(nil)
	_ caddyhttp.MiddlewareHandler = (*URIs)(nil)
)
