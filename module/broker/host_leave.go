// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// prune stops, side by side, what no claim wants. It waits for their end when that is
// the end of all: a program that ends when it likes holds up no reload.
func (h *hostState) prune(logger *zap.Logger) {
	a := h.deciding()
	if a == nil {
		h.network.end()
		h.thrift.Set(false)
		h.sampler.end()
		h.state.freeze(h)
	}
	var ends []<-chan struct{}
	for name, c := range h.list() {
		if a == nil || a.specs[name] == nil {
			ends = append(ends, h.dismiss(c, a != nil, logger))
		}
	}
	if a != nil {
		return
	}
	for _, gone := range ends {
		<-gone
	}
	h.generations.Sync() // while the folder is this process's alone
	h.state.end()
	h.events.follow(nil)
}

// dismiss stops a child for good and returns what is closed when it is gone. One that
// others go on without has a limit of its own for that.
func (h *hostState) dismiss(c *Hosted, limited bool, logger *zap.Logger) (gone <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.leaving != nil {
		return c.leaving
	}
	leaving, limit := make(chan struct{}), time.Duration(0)
	c.leaving = leaving
	if limited && c.spec.StopTimeout == 0 {
		limit = c.spec.DrainTimeout
	}
	go func() {
		defer close(leaving)
		if limit > 0 {
			force := time.AfterFunc(limit, func() {
				logger.Warn("child of an earlier configuration does not end by itself; it is ended by force", zap.String("child", c.name), zap.Duration("after", limit))
				_ = c.sup.Stop(context.Background(), control.Force)
			})
			defer force.Stop()
		}
		err := c.sup.Stop(context.Background(), control.Immediate)
		if err != nil && !errors.Is(err, supervisor.ErrStopped) {
			logger.Error("stopping child", zap.String("child", c.name), zap.Error(err))
		}
		c.close()
		h.mu.Lock()
		delete(h.children, c.name)
		h.mu.Unlock()
	}()
	return leaving
}

// awaitGone returns when a child of that name that is leaving is gone: its successor
// may want the same of the system.
func (h *hostState) awaitGone(ctx context.Context, name string) error {
	h.mu.RLock()
	var leaving <-chan struct{}
	if c := h.children[name]; c != nil {
		leaving = c.leaving
	}
	h.mu.RUnlock()
	if leaving == nil {
		return nil
	}
	select {
	case <-leaving:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
