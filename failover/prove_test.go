// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// paced is a carrier whose backends take the time they are given to answer a ping.
type paced struct {
	*stage
	takes map[string]time.Duration
}

func (c paced) Ping(ctx context.Context, m *Member) report.PingResult {
	<-time.After(c.takes[m.URI.Host])
	return c.stage.Ping(ctx, m)
}

// A list that comes to a pool without members has an order, and its first addresses
// get a moment to answer: the one that answers its ping first must not get all of them.
func TestTheOrderOfAListCountsAtAColdStart(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		takes  map[string]time.Duration // to answer
		refuse string
		order  func(*Config)
		want   string
		most   time.Duration // that the first request waits
	}{
		"the first is slow":        {takes: map[string]time.Duration{"a": 40 * ms, "b": 5 * ms}, want: "a", most: 40 * ms},
		"the first refuses":        {takes: map[string]time.Duration{"a": 40 * ms, "b": 30 * ms}, refuse: "a", want: "b", most: 40 * ms},
		"the first is too slow":    {takes: map[string]time.Duration{"a": time.Second, "b": 50 * ms}, want: "b", most: leftTime},
		"each client for itself":   {takes: map[string]time.Duration{"a": 40 * ms}, want: "a", most: 40 * ms},
		"the order does not count": {takes: map[string]time.Duration{"a": 40 * ms, "b": 40 * ms}, order: random, want: "c"},
	} {
		t.Run(name, func(t *testing.T) {
			change := func(c *Config) {
				c.Dynamic = true
				c.Carrier = paced{c.Carrier.(*stage), test.takes}
				if test.order != nil {
					test.order(c)
				}
			}
			for source, come := range map[string]func(p *Pool) error{
				"dynamic": func(p *Pool) error { _, _, err := p.Discover(uris(3)); return err },
				"list": func(p *Pool) error {
					said := membership.New()
					said.Set("list", uris(3), true, time.Now())
					_, _, err := p.UpdateURIs(said, false)
					return err
				},
				"operator": func(p *Pool) error { _, err := p.AddURIs(uris(3), false); return err },
			} {
				t.Run(source, func(t *testing.T) {
					inBubble(t, 0, change, func(b *stage) {
						if test.refuse != "" {
							b.downAll(test.refuse)
						}
						b.p.Start()
						synctest.Wait()
						start := time.Now()
						if err := come(b.p); err != nil {
							t.Fatal(err)
						}
						for range 3 {
							b.expect(test.want)
						}
						if took := time.Since(start); took > test.most {
							t.Errorf("the first request waited for %v", took)
						}
						time.Sleep(3 * time.Second)
						if n := len(b.p.Members()); test.refuse == "" && n != 3 {
							t.Errorf("%d members in the end", n)
						}
					})
				})
			}
		})
	}
}

// While something serves, an address that comes serves with its first answer.
func TestALateAddressWaitsForNobodyWhileOthersServe(t *testing.T) {
	inBubble(t, 1, func(c *Config) {
		c.Carrier = paced{c.Carrier.(*stage), map[string]time.Duration{"b": time.Second}}
	}, func(b *stage) {
		b.p.Start()
		b.expect("a")
		if _, err := b.p.AddURIs(uris(3)[1:], false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(b.p.Members()); n != 2 {
			t.Errorf("%d members, want a and c", n)
		}
	})
}
