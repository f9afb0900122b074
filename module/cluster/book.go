// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net"
	"net/netip"
	"reflect"
	"strings"
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// book is what this process knows of the network of brokers. Every request
// reads it.
var book = newBook()

// State returns what this process knows of its network, nil without one, and
// what is closed when that changes.
func State() (state *parlance.NetworkState, changed <-chan struct{}) {
	v := book.now.Load()
	return v.state, v.changed
}

// SetState replaces what this process knows of its network; nil is for none. A
// process that serves hears it from its parent, which hears it from its Node.
func SetState(s *parlance.NetworkState) { book.set(s) }

// Has reports whether a balancer of our own network advertises that host and
// port, whatever its scheme.
func Has(host, port string) bool { return book.now.Load().all[keyOf(host, port)] }

type stateBook struct {
	mu  lockorder.Mutex[stateBook] // one change at a time
	now atomic.Pointer[view]
}

// view is one state of the book, immutable.
type view struct {
	state   *parlance.NetworkState // nil without a network
	all     map[string]bool
	changed chan struct{} // closed when there is another view
}

func newBook() *stateBook {
	b := new(stateBook)
	b.now.Store(&view{changed: make(chan struct{})})
	return b
}

func (b *stateBook) set(s *parlance.NetworkState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.now.Load()
	if reflect.DeepEqual(old.state, s) {
		return
	}
	v := &view{state: s, all: make(map[string]bool), changed: make(chan struct{})}
	if s != nil {
		for _, text := range s.All {
			if u, err := address.ParseURI(text); err == nil {
				v.all[keyOf(u.Host, u.Port)] = true
			}
		}
	}
	b.now.Store(v)
	close(old.changed)
}

// keyOf is the same for all spellings of an address.
func keyOf(host, port string) string {
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		host = membership.Destination(ip).String()
	}
	return net.JoinHostPort(host, port)
}
