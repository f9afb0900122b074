// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"sync"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/eventhub"
	"github.com/caddy-broker/caddy-broker/module/internal/voice"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// eventPump takes events from supervisors, which must not wait, and hands them
// to the deciding configuration's subscribers and to those who watch the admin
// API, in order, on one goroutine of its own. Where a subscriber takes so long that
// maxEvents wait, the oldest are dropped: what happens now says more.
type eventPump struct {
	mu      lockorder.Mutex[eventPump]
	queue   []supervisor.Event
	dropped int // since the queue was empty
	app     *App
	busy    bool // the goroutine runs
	idle    *sync.Cond

	hub eventhub.Hub
}

// maxEvents bounds the events that wait for those that subscribe to them.
const maxEvents = 1024

func newEventPump() *eventPump {
	p := new(eventPump)
	p.idle = sync.NewCond(&p.mu)
	return p
}

// put queues e. The first of those that are dropped is told, the others are counted.
func (p *eventPump) put(e supervisor.Event) {
	e = voice.Spoken(e)
	p.mu.Lock()
	var tell *App
	if len(p.queue) == maxEvents {
		p.queue[0] = supervisor.Event{}
		p.queue = p.queue[1:]
		if p.dropped++; p.dropped == 1 {
			tell = p.app
		}
	}
	p.queue = append(p.queue, e)
	if !p.busy {
		p.busy = true
		go p.run()
	}
	p.mu.Unlock()
	if tell != nil {
		tell.logger.Error("handing out events: a subscriber takes too long, so that the oldest are dropped", zap.Int("waiting", maxEvents))
	}
}

// follow hands what comes from now on to a's subscribers. With nil it first
// waits until everything queued was delivered: the last configuration is ending.
func (p *eventPump) follow(a *App) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for a == nil && p.busy {
		p.idle.Wait()
	}
	p.app = a
}

func (p *eventPump) run() {
	for {
		p.mu.Lock()
		a := p.app
		if len(p.queue) == 0 {
			dropped := p.dropped
			p.busy, p.dropped = false, 0
			p.idle.Broadcast()
			p.mu.Unlock()
			if dropped > 0 && a != nil {
				a.logger.Error("handing out events: subscribers have caught up", zap.Int("dropped", dropped))
			}
			return
		}
		e := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()
		if a != nil {
			a.waitReady()
			a.emit(e)
		}
		host.happened(e)
	}
}
