// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// multiSource does what Caddy's `multi` does, which keeps its sources to itself and
// leaves out what fails: here the last list of each one holds.
type multiSource struct {
	sources []reverseproxy.UpstreamSource
	logger  *zap.Logger
}

// partsOf are the configurations of the sources of a `multi`; ok is false for
// anything else, and for what Caddy has to refuse.
func partsOf(config json.RawMessage) (parts []json.RawMessage, ok bool) {
	var multi struct {
		Source  string            `json:"source"`
		Sources []json.RawMessage `json:"sources"`
	}
	dec := json.NewDecoder(bytes.NewReader(config))
	dec.DisallowUnknownFields()
	if dec.Decode(&multi) != nil || multi.Source != "multi" {
		return nil, false
	}
	return multi.Sources, true
}

// loadMulti loads the sources of a `multi`.
func (f *Failover) loadMulti(ctx caddy.Context, parts []json.RawMessage) (*multiSource, error) {
	m := &multiSource{logger: f.logger}
	for _, part := range parts {
		source, err := f.loadSource(ctx, part)
		if err != nil {
			return nil, err
		}
		m.sources = append(m.sources, source)
	}
	return m, nil
}

// GetUpstreams returns what all sources have, in their order. What two of them name
// is there once: in a process that has found nothing yet, the list that holds for one
// source is what the process before had from all.
func (m *multiSource) GetUpstreams(r *http.Request) (list []*reverseproxy.Upstream, err error) {
	there := make(map[string]bool)
	for i, source := range m.sources {
		if r.Context().Err() != nil {
			return list, context.Canceled
		}
		found, err := source.GetUpstreams(r)
		if err != nil {
			m.logger.Error("looking up dynamic upstreams", zap.Int("source", i), zap.Error(err))
			continue
		}
		for _, up := range found {
			if !there[up.Dial] {
				there[up.Dial] = true
				list = append(list, up)
			}
		}
	}
	return list, nil
}

// Interface guard
var _ reverseproxy.UpstreamSource = (*multiSource)(nil)
