// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// instant answers every ping at once.
type instant struct{}

func (instant) Ping(context.Context, *Member) report.PingResult {
	return report.PingResult{Status: 200}
}
func (instant) Release(*Member) {}
func (instant) Warm([]*Member)  {}

// BenchmarkRequestDuringPush measures a request through a pool that has just been
// told of 1,000 addresses, and without any.
func BenchmarkRequestDuringPush(b *testing.B) {
	for _, n := range []int{0, address.MaxListAddresses} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p, err := New(Config{Name: "bench", Options: address.DefaultOptions(), Carrier: instant{}, URIs: uris(3)})
			if err != nil {
				b.Fatal(err)
			}
			p.Start()
			defer p.Close()
			s := membership.New()
			var list []address.URI
			for i := range n {
				list = append(list, address.URI{Scheme: "http", Host: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Port: "80"})
			}
			s.Set("list", list, false, time.Now())
			began := time.Now()
			if _, _, err := p.UpdateURIs(s, false); err != nil {
				b.Fatal(err)
			}
			took, slowest := time.Since(began), time.Duration(0)
			for i := uint64(0); b.Loop(); i++ {
				start := time.Now()
				r := Request{Key: affinity.KeyOf(fmt.Sprint(i % 10000)), Keyed: true, Safe: true}
				if _, err := p.Next(b.Context(), &r); err != nil {
					b.Fatal(err)
				}
				r.at.Connected()
				r.at.Written()
				r.at.End(report.Answered, nil)
				r.at.Done()
				slowest = max(slowest, time.Since(start))
			}
			b.ReportMetric(float64(took.Microseconds()), "update-µs")
			b.ReportMetric(float64(slowest.Microseconds()), "slowest-µs")
		})
	}
}
