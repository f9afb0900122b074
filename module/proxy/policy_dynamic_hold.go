// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// heldSource is a source of dynamic upstreams whose last list holds while looking
// up fails: a name server that is away must not take away backends that serve. It
// knows that only of Caddy's own sources, which depend on a request by the
// placeholders in their configuration alone: what was found for one request must
// not be used for another one that asks for something else.
//
// Where the handler has configured upstreams as well, a failure is left to Caddy,
// which falls back to them.
type heldSource struct {
	reverseproxy.UpstreamSource
	policy *Failover
	asks   string // the settings with placeholders, which say for what a request asks

	mu    lockorder.Mutex[heldSource]
	lists map[string]*heldList // by what was asked for
}

// heldList is what was found last.
type heldList struct {
	found   []heldUpstream
	failing bool // it has not been found again
}

// heldUpstream is what a source says of an upstream. The rest is for Caddy to fill in,
// anew for each request.
type heldUpstream struct {
	dial        string
	maxRequests int
}

func heldOf(up *reverseproxy.Upstream) heldUpstream { return heldUpstream{up.Dial, up.MaxRequests} }

// maxHeldLists bounds the lists of a source whose requests ask for many things.
const maxHeldLists = 1024

// holdSource loads the source of dynamic upstreams, if there is one, before Caddy
// does, which leaves it alone then.
func (f *Failover) holdSource(ctx caddy.Context) error {
	h := f.handler
	if h.DynamicUpstreamsRaw == nil {
		return nil
	}
	source, err := f.loadSource(ctx, h.DynamicUpstreamsRaw)
	if err != nil {
		return fmt.Errorf("loading upstream source module: %w", err)
	}
	h.DynamicUpstreams, h.DynamicUpstreamsRaw = source, nil
	return nil
}

// loadSource loads a source, whose last list holds if that can be said of it.
func (f *Failover) loadSource(ctx caddy.Context, config json.RawMessage) (reverseproxy.UpstreamSource, error) {
	if parts, ok := partsOf(config); ok {
		return f.loadMulti(ctx, parts)
	}
	field := struct {
		Raw json.RawMessage `caddy:"namespace=http.reverse_proxy.upstreams inline_key=source"`
	}{config}
	loaded, err := ctx.LoadModule(&field, "Raw")
	if err != nil {
		return nil, err
	}
	source := loaded.(reverseproxy.UpstreamSource)
	asks, known := asksOf(config)
	if !known {
		return source, nil
	}
	return &heldSource{UpstreamSource: source, policy: f, asks: asks, lists: make(map[string]*heldList)}, nil
}

// asksOf are the settings of a source that have placeholders, one a line. known
// reports whether it is one of Caddy's.
func asksOf(source json.RawMessage) (asks string, known bool) {
	var settings map[string]any
	if json.Unmarshal(source, &settings) != nil {
		return "", false
	}
	if settings["source"] != "a" && settings["source"] != "srv" {
		return "", false
	}
	var list []string
	for _, name := range []string{"service", "proto", "name", "port"} {
		if s, _ := settings[name].(string); strings.Contains(s, "{") {
			list = append(list, s)
		}
	}
	return strings.Join(list, "\n"), true
}

// GetUpstreams returns what is found now, or the last list where that fails. An
// empty list counts as a failure, too.
func (s *heldSource) GetUpstreams(r *http.Request) ([]*reverseproxy.Upstream, error) {
	found, err := s.UpstreamSource.GetUpstreams(r)
	key := s.key(r)
	if err != nil || len(found) == 0 {
		return s.hold(key, found, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[key]
	if l == nil {
		for old := range s.lists {
			if len(s.lists) < maxHeldLists {
				break
			}
			delete(s.lists, old)
		}
		l = new(heldList)
		s.lists[key] = l
	}
	if l.failing {
		s.policy.logger.Info("the source of dynamic upstreams answers again")
	}
	l.failing = false
	if !slices.EqualFunc(l.found, found, func(h heldUpstream, up *reverseproxy.Upstream) bool { return h == heldOf(up) }) {
		l.found = make([]heldUpstream, 0, len(found)) // hold may still read the one before
		for _, up := range found {
			l.found = append(l.found, heldOf(up))
		}
	}
	return found, nil
}

// hold is what counts instead of a list that was not found: the last one or, in a
// process that has found none yet, what the pool knows from the process before.
func (s *heldSource) hold(key string, found []*reverseproxy.Upstream, err error) ([]*reverseproxy.Upstream, error) {
	if len(s.policy.handler.Upstreams) > 0 {
		return found, err
	}
	s.mu.Lock()
	l := s.lists[key]
	var last []heldUpstream
	first := false
	if l != nil {
		last, first, l.failing = l.found, !l.failing, true
	}
	s.mu.Unlock()
	var held []*reverseproxy.Upstream
	for _, h := range last {
		held = append(held, &reverseproxy.Upstream{Dial: h.dial, MaxRequests: h.maxRequests})
	}
	if l == nil && s.asks == "" {
		for _, u := range s.policy.claim.entry.pool.Discovered() {
			held = append(held, &reverseproxy.Upstream{Dial: u.Dial()})
		}
	}
	if len(held) == 0 {
		return found, err
	}
	if first {
		s.policy.logger.Warn("looking up dynamic upstreams failed: the last list holds until it succeeds", zap.Error(err))
	}
	return held, nil
}

// key is what the request asks for.
func (s *heldSource) key(r *http.Request) string {
	if s.asks == "" {
		return ""
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return s.asks
	}
	return repl.ReplaceAll(s.asks, "")
}

// ResetCache passes on that a backend of the source failed.
func (s *heldSource) ResetCache(r *http.Request) error {
	if c, ok := s.UpstreamSource.(reverseproxy.CachingUpstreamSource); ok {
		return c.ResetCache(r)
	}
	return nil
}

// Interface guard
var _ reverseproxy.CachingUpstreamSource = (*heldSource)(nil)
