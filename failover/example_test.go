// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// carrier reaches members: here by looking into a map.
type carrier map[string]error

func (c carrier) Ping(_ context.Context, m *failover.Member) report.PingResult {
	if err := c[m.URI.Host]; err != nil {
		return report.PingResult{Err: err}
	}
	return report.PingResult{Status: 200}
}

func (carrier) Release(*failover.Member) {}
func (carrier) Warm([]*failover.Member)  {}

// A carrier asks for an attempt, says how far it gets, and ends it. Where that was a
// failure it asks for the next one; whether the request may be sent again at all is
// for the carrier to decide.
func ExamplePool() {
	backends := carrier{"one": errors.New("connection refused")}
	a, err := address.Parse("failover:(http://one:8080,http://two:8080)?randomize=false")
	if err != nil {
		log.Fatal(err)
	}
	pool, err := failover.New(failover.Config{Name: "shop", URIs: a.URIs, Options: a.Options, Carrier: backends})
	if err != nil {
		log.Fatal(err)
	}
	pool.Start()
	defer pool.Close()

	send := func(r *failover.Request) {
		for {
			attempt, err := pool.Next(context.Background(), r)
			if err != nil {
				fmt.Println("no backend:", err)
				return
			}
			m := attempt.Member()
			if err := backends[m.URI.Host]; err != nil {
				attempt.End(report.DialFailed, err) // the member goes down
				continue
			}
			attempt.Connected()
			attempt.Written()
			m.Touch() // bytes came
			attempt.Status = 200
			attempt.End(report.Answered, nil)
			fmt.Println("answered by", m.Name)
			attempt.Done() // the response is over, and the place free
			return
		}
	}
	send(&failover.Request{Key: affinity.KeyOf("a client"), Safe: true})
	for _, u := range pool.Status().Upstreams {
		fmt.Println(u.URI, "is", u.State)
	}

	pool.SetDrained(map[string]string{"http://one:8080": "alice", "http://two:8080": "alice"})
	send(&failover.Request{Safe: true})
	// Output:
	// answered by http://two:8080
	// http://one:8080 is down
	// http://two:8080 is up
	// no backend: pool "shop": all drained: the operator took every backend out of service
}
