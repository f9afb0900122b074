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
	queue []control.Message // by mu
	more  chan struct{}     // has one element when queue may have some
}

const maxTold = 256

func (o *outbox) put(m control.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.Kind == control.KindTell && len(o.queue) >= maxTold {
		return
	}
	o.queue = append(o.queue, m)
	select {
	case o.more <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []control.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	queue := o.queue
	o.queue = nil
	return queue
}
