// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// errStopping ends a request that only waits to receive when its process stops.
var errStopping = errors.New("broker is stopping")

// inflight is a request in progress.
type inflight struct {
	ctx      requestContext
	cancel   context.CancelCauseFunc
	http3    bool
	client   string // its address and port
	told     bool   // it is in doubt, and is reported; guarded by the shard's mu
	entry    account.Entry
	stream   atomic.Bool // sends events; waits for nothing but to receive
	hijacked atomic.Pointer[net.Conn]

	shard      *requestShard
	prev, next *inflight
}

const requestShards = 32

// requestSet holds all requests in progress, in shards so that requests do not
// wait for each other.
type requestSet struct {
	turn   atomic.Uint32
	shards [requestShards]requestShard
}

type requestShard struct {
	mu   lockorder.Mutex[requestShard]
	head *inflight
	n    int
	_    [40]byte // a shard a cache line
}

func (s *requestSet) add(q *inflight) {
	sh := &s.shards[s.turn.Add(1)%requestShards]
	q.shard = sh
	sh.mu.Lock()
	q.next = sh.head
	if sh.head != nil {
		sh.head.prev = q
	}
	sh.head = q
	sh.n++
	sh.mu.Unlock()
}

func (s *requestSet) remove(q *inflight) {
	sh := q.shard
	sh.mu.Lock()
	if q.prev != nil {
		q.prev.next = q.next
	} else {
		sh.head = q.next
	}
	if q.next != nil {
		q.next.prev = q.prev
	}
	sh.n--
	sh.mu.Unlock()
}

// each calls f for every request in progress.
func (s *requestSet) each(f func(*inflight)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for q := sh.head; q != nil; q = q.next {
			f(q)
		}
		sh.mu.Unlock()
	}
}

func (s *requestSet) len() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += s.shards[i].n
		s.shards[i].mu.Unlock()
	}
	return n
}

// http3 reports whether a request over HTTP/3 is in progress.
func (s *requestSet) http3() bool {
	found := false
	s.each(func(q *inflight) { found = found || q.http3 })
	return found
}

// http3Clients are those of the requests over HTTP/3 in progress.
func (s *requestSet) http3Clients() (clients []netip.AddrPort) {
	s.each(func(q *inflight) {
		if client, err := netip.ParseAddrPort(q.client); err == nil && q.http3 {
			clients = append(clients, client)
		}
	})
	return clients
}

// idlePoll is how often those who wait for the set to be empty look at it: they
// do so once in a process's life, and requests shall not pay for it.
const idlePoll = 10 * time.Millisecond

// interrupt ends the requests that only wait to receive.
func (s *requestSet) interrupt() {
	s.each(func(q *inflight) {
		if c := q.hijacked.Load(); c != nil {
			_ = (*c).Close()
		}
		if q.stream.Load() {
			q.cancel(errStopping)
		}
	})
}
