// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// run is the pool's own goroutine: it carries out what the machine wants done,
// and gives it a tick when time matters.
func (p *Pool) run() {
	defer p.workers.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		todo, cfg, at := p.take()
		for _, a := range todo {
			p.perform(cfg, a)
		}
		if len(todo) > 0 {
			continue
		}
		timer.Stop()
		if !at.IsZero() {
			timer.Reset(time.Until(at))
		}
		select {
		case <-p.ctx.Done():
			p.finish()
			return
		case <-p.kick:
		case <-timer.C:
			p.feed(p.tickNow())
		}
	}
}

// finish carries out what is left, pings apart.
func (p *Pool) finish() {
	todo, cfg, _ := p.take()
	for _, a := range todo {
		if _, ok := a.(actPing); !ok {
			p.perform(cfg, a)
		}
	}
	cfg.Carrier.Warm(nil)
}

// take returns what is to be done, and when a tick is due.
func (p *Pool) take() ([]action, Config, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	todo := p.todo
	p.todo = nil
	return todo, p.cfg, p.machine.wakeAt()
}

func (p *Pool) perform(cfg Config, a action) {
	switch a := a.(type) {
	case actPing:
		p.workers.Add(1)
		go p.ping(cfg.Carrier, a)
	case actRelease:
		cfg.Carrier.Release(a.m)
	case actWarm:
		cfg.Carrier.Warm(a.members)
	case actEmit:
		level, attrs := a.event.Line()
		cfg.Logger.Log(p.ctx, level, a.event.Name, attrs...)
		if cfg.Emit != nil {
			cfg.Emit(a.event)
		}
	case actLog:
		cfg.Logger.Log(p.ctx, a.level, a.msg, a.attrs...)
	case actEcho:
		close(a.heard)
	case actConsult:
		for i := range a.asked {
			a.asked[i].opinion = form(guarded{a.asked[i].checker, cfg.Logger, &p.panicked}, a.members)
		}
		p.feed(inConsulted{a.asked})
	case actChanged:
		if cfg.Changed != nil {
			cfg.Changed()
		}
	}
}

// ping carries out one ping. It runs on its own goroutine.
func (p *Pool) ping(c Carrier, a actPing) {
	defer p.workers.Done()
	ctx := p.ctx
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	result := guardedPing(ctx, c, a.m)
	if p.ctx.Err() == nil {
		p.feed(inPing{m: a.m, kind: a.kind, epoch: a.epoch, asked: a.asked, result: result, failure: report.Note(result.Err)})
	}
}
