// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// queued is an event of a pool, and whose handler it comes from.
type queued struct {
	policy *Failover
	event  report.Event
}

// eventQueue hands the pools' events to Caddy's events app and to the reporter,
// in order and on a goroutine of its own, because handlers of the user may
// take their time. The goroutine lives while there are events.
type eventQueue struct {
	mu      lockorder.Mutex[eventQueue]
	list    []queued
	running bool
	to      Reporter // may be nil
}

func (q *eventQueue) put(e queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, e)
	if !q.running {
		q.running = true
		go q.run()
	}
}

func (q *eventQueue) run() {
	for {
		q.mu.Lock()
		if len(q.list) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		e := q.list[0]
		q.list = q.list[1:]
		to := q.to
		q.mu.Unlock()
		if to != nil {
			to.Event(e.event)
		}
		e.policy.emit(e.event)
	}
}

// report makes to hear of every event from now on.
func (q *eventQueue) report(to Reporter) {
	q.mu.Lock()
	q.to = to
	q.mu.Unlock()
}
