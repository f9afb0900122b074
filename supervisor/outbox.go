// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"sync"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// outbox holds what is to be sent, so that a child that does not read never
// stops its supervisor. Orders are few and none is lost; of what the parent's
// user tells, the newest is dropped when too much was not read.
type outbox struct {
	mu    sync.Mutex
	queue []order       // by mu
	more  chan struct{} // has one element when queue may have some
}

// order is a message with what is told right before it: that may be much, and is made
// only when it is sent.
type order struct {
	before Pieces
	msg    control.Message
	sent   chan struct{} // not nil: no message, but closed when all before it were sent
}

const maxTold = 256

func (o *outbox) put(next order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if next.msg.Kind == control.KindTell && len(o.queue) >= maxTold {
		return
	}
	o.queue = append(o.queue, next)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []order {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue := o.queue
	o.queue = nil
	return queue
}
