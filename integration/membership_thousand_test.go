// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// A thousand addresses that come at once, and where nobody answers, cost a
// request nothing that can be seen.
func TestThousandAddressesPushed(t *testing.T) {
	isolated(t, func(t *testing.T) {
		a := newAnnouncer(t, hubIP)
		port := freePort(t)
		front := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$ANNOUNCER} {
		lb_policy failover {
			pool many
			update_uris_allow 10.77.0.0/16:80
		}
	}
}
`, "PORT="+port, "ANNOUNCER="+a.addr)
		measure := func(name string, during func()) harness.Results {
			t.Helper()
			load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:" + port}, Rate: 200, Name: name}
			run := load.Start(t.Context())
			during()
			sent(t, run, 800)
			results := run.Stop()
			t.Logf("%s: %s", name, results)
			for _, r := range results.Failed() {
				t.Errorf("%s: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
			}
			return results
		}
		before := measure("before", func() {})
		var list []string
		for i := range 1000 {
			list = append(list, fmt.Sprintf("10.77.%d.%d:80", 200+i/250, 1+i%250))
		}
		after := measure("after", func() {
			a.say(t, list...)
			err := harness.Until(t.Context(), soon, func() error {
				members, err := poolMembers(t, front, "many")
				if err == nil && len(members) != 1001 {
					err = fmt.Errorf("%d members", len(members))
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		// A request that waits for a dial in vain, or for a walk over the members
		// that blocks, would be slower by far.
		if p50 := after.Percentile(.5); p50 > 10*before.Percentile(.5)+20*time.Millisecond {
			t.Errorf("the median request took %s, %s before", p50, before.Percentile(.5))
		}
		if slowest := after.Slowest(); slowest > before.Slowest()+2*time.Second {
			t.Errorf("a request took %s, at most %s before", slowest, before.Slowest())
		}
	})
}
