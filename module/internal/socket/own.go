// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package socket

import (
	"net"
	"net/netip"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// own knows where this process and its parent listen.
var own = new(socketBook)

// Listens reports whether this process or its parent listens at that address.
// Where the system does not say, every address of this machine counts.
func Listens(at netip.AddrPort) bool { return own.listens(at) }

// SetParent notes where the parent listens.
func SetParent(listens []netip.AddrPort) {
	own.mu.Lock()
	own.parent = listens
	own.mu.Unlock()
}

// socketBook is what is known of listening sockets. It looks again after a while:
// configurations come and go.
type socketBook struct {
	mu     lockorder.Mutex[socketBook]
	looked time.Time
	known  bool // this system tells what the process listens on
	own    []netip.AddrPort
	local  map[netip.Addr]bool // addresses of this machine
	parent []netip.AddrPort
}

// socketsFresh is how long what was found holds.
const socketsFresh = time.Second

func (s *socketBook) listens(at netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.looked) >= socketsFresh {
		s.looked = now
		s.own, s.known = Listening()
		s.local = localAddresses()
	}
	ip := at.Addr().WithZone("").Unmap()
	if !s.known {
		return s.local[ip] || ip.IsLoopback()
	}
	for _, list := range [][]netip.AddrPort{s.own, s.parent} {
		for _, l := range list {
			if l.Port() != at.Port() {
				continue
			}
			if l.Addr() == ip || l.Addr().IsUnspecified() && (s.local[ip] || ip.IsLoopback()) {
				return true
			}
		}
	}
	return false
}

func localAddresses() map[netip.Addr]bool {
	local := make(map[netip.Addr]bool)
	list, err := net.InterfaceAddrs()
	if err != nil {
		return local
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local[p.Addr().WithZone("").Unmap()] = true
		}
	}
	return local
}
