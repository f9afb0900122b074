// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

const (
	// pollEvery is how often a request that waits looks for its client, where
	// nothing else says that the client has left.
	pollEvery = 500 * time.Millisecond
	// firstWait is how long a request waits at most until the pool has reached a
	// backend for the first time: until then it is not known whether the addresses are right.
	firstWait = 5 * time.Second
)

// wait asks the machine for a member and waits for its decision.
func (p *Pool) wait(ctx context.Context, r *Request) (*Attempt, error) {
	w := &waiter{r: r, decided: make(chan decision, 1), checker: r.Checker, fresh: !r.lost && r.writes == 0}
	if r.lost {
		if left, bounded := p.left(r); bounded && left <= 0 {
			return nil, p.unavailable(report.ReasonTimeout)
		}
	}
	w.opinion = form(w.checker, p.view.Load().all)
	p.feed(inAsk{w})
	select {
	case d := <-w.decided:
		return p.accept(r, d)
	default:
	}
	began := time.Now()
	a, err := p.await(ctx, r, w)
	p.waits.Note(waitEnd(a, err), time.Since(began))
	return a, err
}

// waitEnd is how a wait with this result ended.
func waitEnd(a *Attempt, err error) report.WaitEnd {
	if a != nil {
		return report.WaitServed
	}
	if _, refused := errors.AsType[*report.UnavailableError](err); refused {
		return report.WaitRefused
	}
	return report.WaitLeft
}

// await returns when the machine has decided, or the request does not want any more.
func (p *Pool) await(ctx context.Context, r *Request, w *waiter) (*Attempt, error) {
	var poll <-chan time.Time
	if r.Present != nil {
		ticker := time.NewTicker(pollEvery)
		defer ticker.Stop()
		poll = ticker.C
	}
	limit := time.NewTimer(0)
	defer limit.Stop()
	for {
		left, bounded := p.left(r)
		if bounded && left <= 0 {
			return p.accept(r, p.leave(w, report.ReasonTimeout))
		}
		limit.Stop()
		if bounded {
			limit.Reset(left)
		}
		select {
		case d := <-w.decided:
			if d.m != nil && r.Present != nil && !r.Present() {
				p.giveBack(r, d)
				return nil, ErrClientGone
			}
			return p.accept(r, d)
		case <-ctx.Done():
			p.giveBack(r, p.leave(w, 0))
			return nil, ctx.Err()
		case <-poll:
			if !r.Present() {
				p.giveBack(r, p.leave(w, 0))
				return nil, ErrClientGone
			}
		case <-limit.C:
		}
	}
}

// leave gives up waiting. The decision may have been made just before.
func (p *Pool) leave(w *waiter, reason report.Reason) decision {
	p.feed(inLeave{w, reason})
	return <-w.decided
}

func (p *Pool) accept(r *Request, d decision) (*Attempt, error) {
	if d.m == nil {
		return nil, d.err
	}
	a := p.begin(r) // what happened since the decision counts as after it
	a.grant = d.grant
	return a, nil
}

// giveBack ends an attempt that is not wanted any more before it began.
func (p *Pool) giveBack(r *Request, d decision) {
	if a, _ := p.accept(r, d); a != nil {
		a.End(report.DialAborted, nil)
	}
}

// left is how long the request may still be without a connection.
func (p *Pool) left(r *Request) (left time.Duration, bounded bool) {
	by := r.connectBy(p.view.Load())
	if by.IsZero() {
		return 0, false
	}
	return time.Until(by), true
}

func (p *Pool) unavailable(reason report.Reason) *report.UnavailableError {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.machine.unavailable(reason)
}
