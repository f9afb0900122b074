// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// stuck is a carrier that gets stuck when a test says so.
type stuck struct{ free chan struct{} }

func (s *stuck) emit(report.Event) { <-s.free }

func (*stuck) Ping(context.Context, *failover.Member) report.PingResult {
	return report.PingResult{Status: 200}
}
func (*stuck) Release(*failover.Member) {}
func (*stuck) Warm([]*failover.Member)  {}

// TestHeartbeatEndsWithAPoolThatIsStuck: a pool that answers nothing ends the
// heartbeat of a process whose servers answer; one that is only slow does not, and
// one that answers again brings it back.
func TestHeartbeatEndsWithAPoolThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		carrier := &stuck{free: make(chan struct{})}
		uri, err := address.ParseURI("http://a:80")
		if err != nil {
			t.Fatal(err)
		}
		other := uri
		other.Host = "b"
		pool, err := failover.New(failover.Config{
			Name: "test", URIs: []address.URI{uri, other}, Options: address.DefaultOptions(), Carrier: carrier, Emit: carrier.emit,
		})
		if err != nil {
			t.Fatal(err)
		}
		pool.Start()
		defer pool.Close()

		var beats atomic.Int64
		during := func(d time.Duration) int64 {
			before := beats.Load()
			time.Sleep(d)
			synctest.Wait()
			return beats.Load() - before
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			newChildRuntime(nil).heartbeat(ctx, pool.Echo, func() error { beats.Add(1); return nil })
		}()
		time.Sleep(beatEvery / 2) // no tick and no answer at the same instant
		if n := during(5 * beatEvery); n != 5 {
			t.Errorf("%d heartbeats in the time of 5", n)
		}
		pool.SetDrained(map[string]string{uri.Name(): "alice"}) // which the pool tells of, and is stuck
		if n := during(EchoTime - beatEvery); n != int64(EchoTime/beatEvery)-1 {
			t.Errorf("%d heartbeats while the pool may only be slow", n)
		}
		for range 2 { // failover_membership and failover_drained
			carrier.free <- struct{}{}
		}
		if n := during(5 * beatEvery); n != 5 {
			t.Errorf("%d heartbeats in the time of 5 after the pool was slow", n)
		}
		pool.SetDrained(nil)
		during(EchoTime + beatEvery)
		if n := during(time.Minute); n != 0 {
			t.Errorf("%d heartbeats with a pool that is stuck", n)
		}
		close(carrier.free)
		if n := during(5 * beatEvery); n != 5 {
			t.Errorf("%d heartbeats in the time of 5 when the pool answers again", n)
		}
		cancel()
		<-ended
	})
}
