// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Sender sends single requests, each exactly once; it is safe for concurrent use.
type Sender interface {
	// Do sends one request and returns its fate. due is when it was to be sent.
	Do(ctx context.Context, id string, due time.Time, req Request) *Result
	// Close closes what it keeps for later requests.
	Close()
}

// Load is an open-loop stream of requests: they come at a constant rate, however
// long the earlier ones take, as they do from clients that know nothing of each
// other. Each is sent once.
type Load struct {
	Client Sender
	// Rate is requests per second.
	Rate float64
	// Count ends the load after so many requests; 0 goes on until Stop.
	Count int
	// Name begins every request's id; ids are unique within one load.
	Name string
	// Requests are sent in turn; default is one GET of "/".
	Requests []Request
}

// Run is a load under way.
type Run struct {
	stop context.CancelFunc
	done chan struct{} // closed when the last request has its fate

	mu      sync.Mutex
	sent    int       // by mu
	results []*Result // by mu; each has its fate
}

// Start begins the load. Whoever starts it calls Wait or Stop.
func (l *Load) Start(ctx context.Context) *Run {
	arrivals, stop := context.WithCancel(ctx)
	run := &Run{stop: stop, done: make(chan struct{})}
	go l.run(ctx, arrivals, run)
	return run
}

func (l *Load) run(ctx, arrivals context.Context, run *Run) {
	defer close(run.done)
	defer l.Client.Close()
	requests := l.Requests
	if len(requests) == 0 {
		requests = []Request{{Method: "GET"}}
	}
	interval := time.Duration(float64(time.Second) / l.Rate)
	var wg sync.WaitGroup
	defer wg.Wait()
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; l.Count == 0 || n < l.Count; n++ {
		select {
		case <-arrivals.Done():
			return
		case <-timer.C:
		}
		id := l.Name + "-" + strconv.Itoa(n)
		begun := due
		run.begin()
		wg.Go(func() { run.end(l.Client.Do(ctx, id, begun, requests[n%len(requests)])) })
		due = due.Add(interval)
		timer.Reset(time.Until(due))
	}
}

func (r *Run) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
}

func (r *Run) end(res *Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, res)
}

// Sent is how many requests were begun.
func (r *Run) Sent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// InFlight is how many requests have no fate yet.
func (r *Run) InFlight() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent - len(r.results)
}

// AwaitSent waits until n more requests were begun than now.
func (r *Run) AwaitSent(ctx context.Context, n int) error {
	target := r.Sent() + n
	return Until(ctx, startPatience, func() error {
		if sent := r.Sent(); sent < target {
			return fmt.Errorf("%d of %d requests were sent", sent, target)
		}
		return nil
	})
}

// Stop ends the arrivals, waits for the requests under way and returns all results.
func (r *Run) Stop() Results {
	r.stop()
	return r.Wait()
}

// Wait waits for the end of a load with a Count and returns all results, in the
// order in which the requests were due.
func (r *Run) Wait() Results {
	<-r.done
	r.stop()
	slices.SortFunc(r.results, func(a, b *Result) int { return a.Due.Compare(b.Due) })
	return r.results
}
