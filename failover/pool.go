// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// Pool is a set of members and what is known of them.
//
// Requests choose by an immutable view and report by atomic counters. What
// changes a state (failures, pings, operations, the passing of time) is an input
// to the machine, which one mutex guards; what the machine wants done (pings,
// events, log lines) is done by the pool's own goroutine, in order.
type Pool struct {
	name string
	born time.Time

	view    atomic.Pointer[view]
	moves   affinity.Moves[*Member]
	tick    atomic.Uint32 // a coarse clock; new dials are counted by it
	idle    atomic.Bool   // the counters are not sampled: the next request has to wake the machine
	places  atomic.Bool   // a request waits for a place on a full member
	unsaved atomic.Bool   // moves changed since Changed was last called

	_          [64]byte     // what every request writes has a cache line of its own
	inProgress atomic.Int64 // requests on members
	_          [64]byte

	waits tracker.Waits

	mu      lockorder.Mutex[Pool] // guards the machine, and with it every Member's node
	machine *machine
	todo    []action
	cfg     Config

	panicked time.Time // the carrier did, and was told of; of the pool's own goroutine

	kick    chan struct{} // there is something to do, or an earlier time to wake at
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup // the pool's own goroutine and its pings
	started bool
}

// New makes a pool. Nothing runs before Start.
func New(cfg Config) (*Pool, error) {
	cfg, err := complete(cfg)
	if err != nil {
		return nil, err
	}
	p := &Pool{name: cfg.Name, born: time.Now(), cfg: cfg, kick: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.idle.Store(true)
	p.machine = newMachine(requestPath{p}, time.Now(), cfg)
	p.feed(inNothing{})
	return p, nil
}

func complete(cfg Config) (Config, error) {
	if cfg.Carrier == nil {
		return cfg, errors.New("making failover pool: it has no carrier")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for _, u := range cfg.URIs {
		if u.Scheme != cfg.URIs[0].Scheme && u.Scheme != address.SchemeUnix && cfg.URIs[0].Scheme != address.SchemeUnix {
			return cfg, fmt.Errorf("making failover pool %s: %w", address.Quote(cfg.Name), address.SchemeMismatch(cfg.URIs[0], u))
		}
	}
	return cfg, nil
}

// Start starts the pool's own goroutine and its first pass.
func (p *Pool) Start() {
	p.mu.Lock()
	if p.started || p.ctx.Err() != nil {
		p.mu.Unlock()
		return
	}
	p.started = true
	p.workers.Add(1)
	p.mu.Unlock()
	go p.run()
	p.feed(inStart{})
}

// Close ends the pool: waiting requests get ReasonClosed, nothing is left running.
func (p *Pool) Close() {
	p.feed(inInterrupt{})
	p.cancel()
	p.workers.Wait()
}

// Rebind gives a running pool the carrier, logger and callbacks of a new
// configuration. Options and configured addresses of cfg replace the old ones;
// what the pool learnt stays for members that stay.
func (p *Pool) Rebind(cfg Config) error {
	cfg, err := complete(cfg)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.cfg = cfg
	p.cfg.Name = p.name
	p.mu.Unlock()
	p.feed(inRebind{cfg})
	return nil
}

// Interrupt ends all waiting with ReasonClosed, and lets no request wait any
// more; choosing goes on. A draining or stopping process calls it.
func (p *Pool) Interrupt() { p.feed(inInterrupt{}) }

// Echo returns when the pool has answered: what locks it has let go, and its own
// goroutine, once started, has come round. It blocks for as long as that takes, with
// a pool that is stuck for ever; it returns when the pool is closed.
func (p *Pool) Echo() {
	heard := make(chan struct{})
	if !p.feed(inEcho{heard}).running {
		return
	}
	select {
	case <-heard:
	case <-p.ctx.Done():
	}
}

// Rename names a pool that has not been started.
func (p *Pool) Rename(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.cfg.Name, p.machine.pool = name, name, name
}

// age is how long the pool has been there.
func (p *Pool) age() time.Duration { return time.Since(p.born) }

// Members are the pool's members in their order, priority ones first.
func (p *Pool) Members() []*Member {
	return append([]*Member(nil), p.view.Load().members...)
}
