// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package policyconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// CheckHandler checks the options against the rest of a reverse_proxy that was
// read from a Caddyfile. Loading the configuration checks the same, but cannot
// tell file and line any more. What depends on where it is loaded is left to that.
func (c *Config) CheckHandler(h *reverseproxy.Handler) error {
	var t struct {
		Protocol string          `json:"protocol"`
		TLS      json.RawMessage `json:"tls"`
		Versions []string        `json:"versions"`
	}
	if h.TransportRaw != nil {
		if err := json.Unmarshal(h.TransportRaw, &t); err != nil {
			return fmt.Errorf("reading transport: %w", err)
		}
		if t.Protocol != "http" || slices.Equal(t.Versions, []string{"3"}) {
			return nil
		}
	}
	if slices.ContainsFunc(h.Upstreams, func(up *reverseproxy.Upstream) bool { return strings.Contains(up.Dial, "{") }) {
		return nil
	}
	scheme := address.SchemeHTTP
	switch {
	case t.TLS != nil:
		scheme = address.SchemeHTTPS
	case slices.Contains(t.Versions, "h2c"):
		scheme = address.SchemeH2C
	}
	_, _, err := c.Addresses(h.Upstreams, scheme, h.DynamicUpstreamsRaw != nil)
	return err
}

// Addresses checks the options against the upstreams of a handler and makes the
// list of addresses. sourced tells that more of them come from elsewhere.
func (c *Config) Addresses(upstreams reverseproxy.UpstreamPool, scheme string, sourced bool) (address.Options, []address.URI, error) {
	o, byAddress, err := c.options()
	if err != nil {
		return o, nil, err
	}
	var list []address.URI
	used := make(map[string]bool, len(byAddress))
	add := func(u address.URI) {
		if a, ok := byAddress[u.Dial()]; ok {
			u.Options, used[u.Dial()] = a, true
		}
		// The first of two that are one wins.
		if !slices.ContainsFunc(list, func(v address.URI) bool { return v.Key() == u.Key() }) {
			list = append(list, u)
		}
	}
	for _, up := range upstreams {
		u, err := UpstreamURI(up, scheme)
		if err != nil {
			return o, nil, err
		}
		add(u)
	}
	name := o.Pool
	if name == "" && len(list) > 0 {
		name = list[0].Dial()
	}
	if err := o.ResolvePriority(scheme); err != nil {
		return o, nil, fmt.Errorf("failover pool %q: %w", name, err)
	}
	for _, u := range o.PriorityURIs {
		add(u)
	}
	for _, address := range slices.Sorted(maps.Keys(byAddress)) {
		if !used[address] {
			return o, nil, fmt.Errorf("failover pool %q: option address (address_options in JSON): %s is not an address of this pool, which has %s: "+
				"name one of these, or give options for all in nested", name, address, dialNames(list))
		}
	}
	if len(list) == 0 && !sourced && o.UpdateURIsURL == "" && o.Discovery == "" {
		return o, nil, errors.New("the failover policy has no address: give the reverse_proxy upstreams, a dynamic source of them, or option update_uris_url or discovery")
	}
	return o, list, nil
}

func dialNames(uris []address.URI) string {
	if len(uris) == 0 {
		return "none"
	}
	names := make([]string, len(uris))
	for i, u := range uris {
		names[i] = u.Dial()
	}
	return strings.Join(names, ", ")
}

// UpstreamURI is the address of a configured upstream. Placeholders are those
// that are known when the configuration is loaded, such as {env.NAME}.
func UpstreamURI(up *reverseproxy.Upstream, scheme string) (address.URI, error) {
	dial := caddy.NewReplacer().ReplaceKnown(up.Dial, "")
	if strings.Contains(dial, "{") {
		return address.URI{}, fmt.Errorf("upstream %s: the failover policy keeps the state of each backend, "+
			"so its address may not depend on the request: use one reverse_proxy per address, or a dynamic source of upstreams", up.Dial)
	}
	if strings.HasPrefix(dial, ":") {
		dial = "localhost" + dial // what a dial address without a host stands for
	}
	u, err := address.ParseDial(dial)
	if err != nil {
		return address.URI{}, fmt.Errorf("upstream %s: %w", up.Dial, err)
	}
	if u.Scheme == "" {
		u.Scheme = scheme
	}
	return u, nil
}
