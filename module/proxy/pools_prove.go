// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

const (
	// askedAtOnce bounds how many members of a pool are asked side by side.
	askedAtOnce = 16
	// askTime bounds how long the members of a pool are asked.
	askTime = 10 * time.Second
)

// Unreached asks the members of pools that have not started, side by side, and returns
// which pools reach none though they have to: those that did in the process that serves,
// of which learnt is known. One that has no member yet cannot be asked, and for a backend
// that has gone since then no pool is to blame.
func Unreached(ctx context.Context, learnt poolstate.State) []error {
	pools.mu.Lock()
	list := pools.inEffect()
	must := learnt.MustReach(identities(list))
	pools.mu.Unlock()
	failed := make([]error, len(list))
	var asked sync.WaitGroup
	for i, e := range list {
		if members := e.pool.Members(); len(must[i]) > 0 && len(members) > 0 {
			asked.Go(func() { failed[i] = e.reach(ctx, members, must[i]) })
		}
	}
	asked.Wait()
	return slices.DeleteFunc(failed, func(err error) bool { return err == nil })
}

// reach returns when one of the members has answered a ping, or why none has; before are
// the addresses that were reached.
func (e *poolEntry) reach(ctx context.Context, members []*failover.Member, before []string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	by := &carrier{entry: e, registry: pools}
	answers := make([]*report.PingResult, len(members))
	next := make(chan int, len(members))
	for i := range members {
		next <- i
	}
	close(next)
	var asking sync.WaitGroup
	for range min(askedAtOnce, len(members)) {
		asking.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					return
				}
				r := by.Ping(ctx, members[i])
				if answers[i] = &r; r.Err == nil {
					cancel() // the others need not answer
				}
			}
		})
	}
	asking.Wait()
	why := context.Cause(ctx)
	left := slices.Clone(before) // those that are not known to have gone
	for i, r := range answers {
		if r == nil {
			continue
		}
		if r.Err == nil {
			return nil
		}
		why = fmt.Errorf("%s: %w", members[i].Name, r.Err)
		if r.Refused {
			left = slices.DeleteFunc(left, func(name string) bool { return name == members[i].Name })
		}
	}
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("pool %s reaches none of its upstreams, where %s was reached before: %w", e.name, left[0], why)
}
