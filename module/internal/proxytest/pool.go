// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxytest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// NewPool is a pool that is not started and has no handler.
func NewPool(tb testing.TB, addresses ...string) *failover.Pool {
	tb.Helper()
	c := failover.Config{Name: "fuzz", Options: address.DefaultOptions(), Carrier: nothing{}}
	for _, a := range addresses {
		u, err := address.ParseURI(a)
		if err != nil {
			tb.Fatal(err)
		}
		c.URIs = append(c.URIs, u)
	}
	pool, err := failover.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// Addresses are those that a pool has, also the ones not proved yet, in order.
func Addresses(pool *failover.Pool) []string {
	var names []string
	for _, u := range pool.Status().Upstreams {
		names = append(names, u.URI)
	}
	slices.Sort(names)
	return names
}

// nothing is a carrier that reaches no member.
type nothing struct{}

// Ping finds nothing out.
func (nothing) Ping(context.Context, *failover.Member) report.PingResult {
	return report.PingResult{Err: errors.New("a test pool reaches nothing"), Neutral: true}
}

// Release has nothing to end.
func (nothing) Release(*failover.Member) {}

// Warm holds nothing.
func (nothing) Warm([]*failover.Member) {}
