// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"maps"
	"sync"

	"github.com/caddy-broker/caddy-broker/failover"
)

// queued is an event of a pool, and whose handler it comes from.
type queued struct {
	policy *Failover
	event  failover.Event
}

// eventQueue hands the pools' events to Caddy's events app and to those who
// watch, in order and on a goroutine of its own, because handlers of the user may
// take their time. The goroutine lives while there are events.
type eventQueue struct {
	mu      sync.Mutex
	list    []queued
	running bool
	watch   map[*func(failover.Event)]struct{}
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
		watch := maps.Clone(q.watch)
		q.mu.Unlock()
		for f := range watch {
			(*f)(e.event)
		}
		e.policy.emit(e.event)
	}
}

// Watch calls f for every event of a pool until end is called. f must not
// take long.
func Watch(f func(failover.Event)) (end func()) {
	q, key := &pools.events, &f
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.watch == nil {
		q.watch = make(map[*func(failover.Event)]struct{})
	}
	q.watch[key] = struct{}{}
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.watch, key)
	}
}
