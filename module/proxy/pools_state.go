// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// report sets what hears of the pools from now on.
func (r *poolRegistry) report(to Reporter) {
	r.mu.Lock()
	r.reporter = to
	r.mu.Unlock()
	r.events.report(to)
	r.ledger.Follow(to.Doubt)
}

// changed is called by pools; nothing of theirs or ours is locked then.
func (r *poolRegistry) changed() {
	r.mu.Lock()
	to := r.reporter
	r.mu.Unlock()
	if to != nil {
		to.Changed()
	}
}

// closeIdle closes the idle connections of all handlers.
func (r *poolRegistry) closeIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		for _, c := range e.claims {
			c.policy.way.CloseIdle()
		}
	}
}

// kept is what of which the state is worth keeping: the decisions about addresses, and
// all pools in use.
func (r *poolRegistry) kept() (poolstate.Drains, []poolstate.Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.inEffect()
	sources := make([]poolstate.Source, 0, len(list))
	for i, id := range identities(list) {
		e := list[i]
		sources = append(sources, poolstate.Source{
			Identity: id, Pool: e.pool, From: e.from,
			Touched: func() bool { return e.touched.Swap(false) },
		})
	}
	return r.drains, sources
}

// poolCounters count what is not a member's own.
type poolCounters struct {
	mu        lockorder.Mutex[poolCounters]
	failovers map[string]uint64 // by the fault that led to it, as in Proxy-Status
	replays   map[string]uint64 // by outcome: answered, failed
	doubts    uint64

	answers, answerTime atomic.Int64 // responses, and the nanoseconds until their headers came
}

// answered counts a response whose header came after d.
func (c *poolCounters) answered(d time.Duration) {
	c.answers.Add(1)
	c.answerTime.Add(int64(d))
}

// failover counts a request that went on to another backend.
func (c *poolCounters) failover(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failovers == nil {
		c.failovers = make(map[string]uint64)
	}
	c.failovers[reason]++
}

// replay counts a request that was sent again after a byte had been written.
func (c *poolCounters) replay(answered bool) {
	outcome := "failed"
	if answered {
		outcome = "answered"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replays == nil {
		c.replays = make(map[string]uint64)
	}
	c.replays[outcome]++
}

func (c *poolCounters) doubt() {
	c.mu.Lock()
	c.doubts++
	c.mu.Unlock()
}

// poolCounts are a pool's counters at one moment.
type poolCounts struct {
	Failovers, Replays map[string]uint64
	InDoubt            uint64
	Answers            uint64
	AnswerTime         time.Duration
}

// counts are the counters now.
func (c *poolCounters) counts() poolCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return poolCounts{
		maps.Clone(c.failovers), maps.Clone(c.replays), c.doubts,
		uint64(c.answers.Load()), time.Duration(c.answerTime.Load()), //nolint:gosec // it only grows
	}
}
