// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/proxy"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

const (
	// poolsReportDelay gathers changes of the pools' state into one report.
	poolsReportDelay = 200 * time.Millisecond
	// poolsReportRest is how many times as long as a report took nothing is reported
	// after it: while clients move in masses, their places must not cost more than a
	// tenth of a processor.
	poolsReportRest = 10
	// longestRest bounds that.
	longestRest = 5 * time.Second
	// reportQueue bounds the events and doubts that wait to be reported.
	reportQueue = 4096
)

// poolReporter tells the parent what happens to this process's pools. Only the
// process that serves has anything to tell. What is worth keeping of the pools is
// sent by one goroutine, so that an older state never follows a newer one.
type poolReporter struct {
	link    *control.Link
	changed chan struct{}
	queue   chan outgoing
	dropped atomic.Uint64 // reports that found the queue full
	flushes chan chan error

	// Of run alone.
	sender *poolstate.Sender
	left   string // what was left out of the last report of the pools
}

type outgoing struct {
	topic string
	data  json.RawMessage
}

// poolsActivate lets the pools begin, with what the parent keeps of them, and
// reports on them from now on.
func poolsActivate(link *control.Link, kept *poolstate.Kept) {
	learnt, err := kept.State()
	if err != nil {
		caddy.Log().Named("broker").Error("reading the pools' state", zap.Error(err))
	}
	r := &poolReporter{
		link: link, changed: make(chan struct{}, 1), queue: make(chan outgoing, reportQueue), flushes: make(chan chan error),
		sender: poolstate.NewSender(kept, link.Deliver),
	}
	proxy.Start(learnt, r)
	r.Changed() // what has no place any more is forgotten
	go r.run()
	reporter.Store(r)
}

// reporter is this process's, once it serves or has served.
var reporter atomic.Pointer[poolReporter]

// put queues a report. One that finds the queue full is dropped: the parent hangs.
func (r *poolReporter) put(topic string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return
	}
	select {
	case r.queue <- outgoing{topic, data}:
	default:
		r.dropped.Add(1)
	}
}

// Event reports an event.
func (r *poolReporter) Event(e report.Event) {
	r.put(parlance.TopicEvent, supervisor.Event{Name: e.Name, Data: e.Data})
}

// Doubt reports a request in doubt.
func (r *poolReporter) Doubt(d indoubt.Record) { r.put(parlance.TopicDoubt, d) }

// Changed makes what is worth keeping be reported soon.
func (r *poolReporter) Changed() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// run reports as long as the process lives or the parent listens.
func (r *poolReporter) run() {
	var due <-chan time.Time
	rest := poolsReportDelay
	for {
		select {
		case next := <-r.queue:
			err := r.link.Report(next.topic, next.data)
			if n := r.dropped.Swap(0); n > 0 {
				caddy.Log().Named("broker").Error("reporting to the broker: it did not listen", zap.Uint64("dropped", n))
			}
			if errors.Is(err, control.ErrTooLarge) {
				caddy.Log().Named("broker").Error("reporting to the broker", zap.String("topic", next.topic), zap.Error(err))
			} else if err != nil {
				return // the broker is gone, which is said by the first to hear of it
			}
		case <-r.changed:
			if due == nil {
				due = time.After(rest)
			}
		case <-due:
			due = nil
			began := time.Now()
			_ = r.send() // a process that was replaced has nothing to say any more
			rest = min(max(poolsReportDelay, poolsReportRest*time.Since(began)), longestRest)
		case reply := <-r.flushes:
			reply <- r.send()
		}
	}
}

// send reports what has changed of what is worth keeping and returns when the parent
// has it.
func (r *poolReporter) send() error {
	left, err := r.sender.Send(proxy.Kept())
	if left != "" && r.left == "" {
		caddy.Log().Named("broker").Warn("the state of the pools is too large to be kept whole for the next process, which learns the rest anew",
			zap.String("left_out", left), zap.Error(err))
	}
	r.left = left
	return err
}

// flush returns when the parent has what was changed, or with the reason why not.
func (r *poolReporter) flush(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case r.flushes <- reply:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
