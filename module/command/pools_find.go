// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// allPools are the pools of the running broker.
func allPools(fl caddycmd.Flags) (list []report.PoolStatus, err error) {
	return list, getInto(fl, "/broker/pools", &list)
}

// poolOf is the pool that a command is about which names none: the only one that there
// is, or that has the address, if the command names one; to all others it must be said.
func poolOf(list []report.PoolStatus, uri string) (string, error) {
	if uri != "" {
		list = slices.DeleteFunc(slices.Clone(list), func(p report.PoolStatus) bool { return upstreamOf(p, uri) == nil })
	}
	switch len(list) {
	case 1:
		return list[0].Name, nil
	case 0:
		if uri != "" {
			return "", fmt.Errorf("no pool has address %q: caddy broker pools shows them", uri)
		}
		return "", fmt.Errorf("this broker has no pools")
	}
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	if uri != "" {
		return "", fmt.Errorf("%d pools have address %q: say which one: %s", len(list), uri, strings.Join(names, ", "))
	}
	return "", fmt.Errorf("there are %d pools: say which one: %s", len(list), strings.Join(names, ", "))
}

// upstreamOf is the upstream of a pool with an address as users write it, with its scheme
// or without; nil if there is none.
func upstreamOf(p report.PoolStatus, text string) *report.UpstreamStatus {
	parsed := ""
	if uri, err := address.ParseURI(text); err == nil {
		parsed = uri.Name()
	}
	for i, u := range p.Upstreams {
		_, dial, _ := strings.Cut(u.URI, "://")
		if u.URI == text || dial == text || u.URI == parsed {
			return &p.Upstreams[i]
		}
	}
	return nil
}
