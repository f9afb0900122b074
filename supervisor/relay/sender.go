// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// queued is how many messages may wait for a replaced process.
const queued = 512

// Sender hands datagrams on to processes that were replaced. The zero value knows none.
type Sender struct {
	former atomic.Pointer[[]*former]

	mu   sync.Mutex // held while former is replaced
	shut bool       // by mu
}

// former is a process that was replaced.
type former struct {
	conn  net.Conn
	queue chan []byte
	over  chan struct{}
	end   sync.Once
	// clients are those that it still wants to hear from; nil is all.
	clients atomic.Pointer[map[netip.AddrPort]struct{}]
}

// Add hands on to the process at the other end of conn, until that ends or Close is
// called, as it may have been. sockets are the names of those that are read from now on.
func (s *Sender) Add(conn net.Conn, sockets []string) {
	f := &former{conn: conn, queue: make(chan []byte, queued), over: make(chan struct{})}
	if first, err := encodeSockets(sockets); err == nil {
		f.queue <- first
	}
	s.change(func(all []*former) []*former {
		if s.shut {
			f.close()
			return all
		}
		return append(all, f)
	})
	go f.write()
	go func() {
		f.hear()
		s.change(func(all []*former) []*former {
			return slices.DeleteFunc(all, func(other *former) bool { return other == f })
		})
	}()
}

func (s *Sender) change(f func([]*former) []*former) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*former
	if old := s.former.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = f(all); len(all) == 0 {
		s.former.Store(nil)
		return
	}
	s.former.Store(&all)
}

// Close ends the connections. What these processes still have is the next reader's.
func (s *Sender) Close() {
	s.change(func(all []*former) []*former {
		s.shut = true
		for _, f := range all {
			f.close()
		}
		return nil
	})
}

// Forward hands on a datagram that came from a client on a socket, to all that may have
// a connection with it. It does not wait, and keeps nothing of datagram.
func (s *Sender) Forward(socket string, from netip.AddrPort, datagram []byte) {
	all := s.former.Load()
	if all == nil || Begins(datagram) {
		return
	}
	client := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
	var message []byte
	for _, f := range *all {
		if clients := f.clients.Load(); clients != nil {
			if _, wanted := (*clients)[client]; !wanted {
				continue
			}
		}
		if message == nil {
			var ok bool
			if message, ok = encodeDatagram(socket, from, datagram); !ok {
				return
			}
		}
		select {
		case f.queue <- message:
		default: // QUIC repeats it
		}
	}
}

func (f *former) close() {
	f.end.Do(func() {
		close(f.over)
		_ = f.conn.Close()
	})
}

// write sends what is queued.
func (f *former) write() {
	defer f.close()
	for {
		select {
		case <-f.over:
			return
		case message := <-f.queue:
			if _, err := f.conn.Write(message); err != nil {
				return
			}
		}
	}
}

// hear takes the lists of clients until the connection ends.
func (f *former) hear() {
	defer f.close()
	buf := make([]byte, maxMessage)
	for {
		n, err := f.conn.Read(buf)
		if err != nil {
			return
		}
		var clients []netip.AddrPort
		if json.Unmarshal(buf[:n], &clients) != nil || len(clients) > MaxClients {
			return
		}
		set := make(map[netip.AddrPort]struct{}, len(clients))
		for _, c := range clients {
			set[netip.AddrPortFrom(c.Addr().Unmap(), c.Port())] = struct{}{}
		}
		f.clients.Store(&set)
	}
}
