// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// Topics of what a child and its parent have to say about pools.
const (
	topicPools = "pools" // what is worth keeping of all pools, whole; goes both ways
	topicEvent = "event" // something happened to a pool
	topicDoubt = "doubt" // a request may have been executed without an answer
	topicCut   = "cut"   // likewise all those that the end of the process cut off
)

const (
	// poolsReportDelay gathers changes of the pools' state into one report.
	poolsReportDelay = 200 * time.Millisecond
	// reportQueue bounds the events and doubts that wait to be reported.
	reportQueue = 4096
)

// poolReporter tells the parent what happens to this process's pools. Only the
// process that serves has anything to tell.
type poolReporter struct {
	link    *control.Link
	changed chan struct{}
	queue   chan report
}

type report struct {
	topic string
	data  json.RawMessage
}

// poolsStart keeps this process's pools from reaching for backends until it is
// activated, and gives them what the parent knows.
func poolsStart(state json.RawMessage) {
	pools.hold()
	poolsTold(topicPools, state)
}

// poolsTold takes the pools' state, which the process that serves has changed.
func poolsTold(topic string, data json.RawMessage) {
	if topic != topicPools || len(data) == 0 {
		return
	}
	var all map[string]failover.Snapshot
	if err := json.Unmarshal(data, &all); err != nil {
		caddy.Log().Named("broker").Error("reading the pools' state", zap.Error(err))
		return
	}
	pools.restore(all)
}

// poolsActivate lets the pools begin and reports on them from now on.
func poolsActivate(link *control.Link) {
	r := &poolReporter{link: link, changed: make(chan struct{}, 1), queue: make(chan report, reportQueue)}
	pools.onChange(func() {
		select {
		case r.changed <- struct{}{}:
		default:
		}
	})
	watchPools(func(e failover.Event) { r.put(topicEvent, supervisor.Event{Name: e.Name, Data: e.Data}) })
	pools.ledger.follow(func(d doubtRecord) { r.put(topicDoubt, d) })
	pools.start()
	go r.run()
}

// closeIdleUpstreams closes the idle connections to backends: a process that
// serves nobody new holds on to none, least of all to a site of its own.
func closeIdleUpstreams() {
	pools.mu.Lock()
	defer pools.mu.Unlock()
	for _, e := range pools.entries {
		for _, c := range e.claims {
			if t := c.policy.transport; t != nil && t.http != nil {
				t.http.CloseIdleConnections()
			}
		}
	}
}

// put queues a report. One that finds the queue full is dropped: the parent hangs.
func (r *poolReporter) put(topic string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return
	}
	select {
	case r.queue <- report{topic, data}:
	default:
	}
}

// run reports as long as the process lives or the parent listens.
func (r *poolReporter) run() {
	var due <-chan time.Time
	for {
		var next report
		select {
		case next = <-r.queue:
		case <-r.changed:
			if due == nil {
				due = time.After(poolsReportDelay)
			}
			continue
		case <-due:
			due = nil
			data, err := json.Marshal(pools.snapshot())
			if err != nil {
				continue
			}
			next = report{topicPools, data}
		}
		if r.link.Report(next.topic, next.data) != nil {
			return
		}
	}
}

// reportCut tells of the unsafe requests that the end of this process cuts off:
// they may have been executed, and nobody will hear the answer. It returns when
// the parent has it.
func reportCut(link *control.Link, cut []doubtRecord) {
	for _, d := range cut {
		caddy.Log().Named("broker").Warn("request in doubt: it may have been executed without an answer",
			zap.String("method", d.Method), zap.String("host", d.Host), zap.String("path", d.Path), zap.String("reason", d.Reason))
	}
	if data, err := json.Marshal(cut); err == nil {
		_ = link.Report(topicCut, data)
	}
}
