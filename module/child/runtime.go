// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/socket"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/relay"
)

// childRuntime is what a supervised child knows of itself: whether it may
// accept, whether it is on its way out, and what it has in progress. There is
// one in a child and none in any other process.
type childRuntime struct {
	link    *control.Link
	account *account.Writer // of the requests in progress; nil keeps none
	config  []byte          // what Caddy has loaded; not changed once this process is ready

	unbound   atomic.Bool   // take no socket before this process is activated
	activated chan struct{} // closed: accept connections
	taken     chan struct{} // closed: the sockets are there, as far as they can be had
	packets   chan struct{} // closed: read datagram sockets
	leaving   chan struct{} // closed: accept nothing new, on any socket
	closing   atomic.Bool   // responses say Connection: close
	replaced  atomic.Bool   // another process serves: clients are to go there
	moving    atomic.Bool   // and requests over HTTP/3 finish here: datagrams come from there

	activateOnce, packetsOnce, leaveOnce sync.Once

	answered atomic.Uint64 // requests answered, as proof of life

	mu        lockorder.Mutex[childRuntime]
	listeners map[*listener]struct{}
	datagrams map[*packetConn]struct{}
	conns     map[net.Conn]struct{}
	connsGone chan struct{} // closed and renewed when conns becomes empty
	h3        map[http3Server]struct{}

	sender  relay.Sender // to processes that were replaced
	heard   atomic.Int64 // when a datagram has come from the process that reads, in ns
	shaking atomic.Int64 // when there was one of a handshake

	left  time.Time // when leave was called; written before closing is
	http2 sync.Map  // *http2Conn by its server

	unused   sync.Map // connections, as their servers know them, on which no request has come yet; since when
	requests requestSet
}

// runtime is this process's, set once by the child command before it loads a
// configuration.
var runtime atomic.Pointer[childRuntime]

func newChildRuntime(link *control.Link) *childRuntime {
	return &childRuntime{
		link:      link,
		activated: make(chan struct{}),
		taken:     make(chan struct{}),
		packets:   make(chan struct{}),
		leaving:   make(chan struct{}),
		listeners: make(map[*listener]struct{}),
		datagrams: make(map[*packetConn]struct{}),
		conns:     make(map[net.Conn]struct{}),
		connsGone: make(chan struct{}),
		h3:        make(map[http3Server]struct{}),
	}
}

// activate opens the gate of all listeners. It is called once or not at all. What is
// unbound takes its sockets now, for which the parent's answers have to be read.
func (rt *childRuntime) activate() {
	rt.activateOnce.Do(func() {
		close(rt.activated)
		if !rt.unbound.Load() {
			close(rt.taken)
			return
		}
		go func() {
			rt.bind()
			close(rt.taken)
			if rt.link != nil {
				_ = rt.link.Bound()
			}
		}()
	})
}

// leave ends accepting: the listeners' own copies of the sockets are closed, the
// queue stays with the parent. From now on responses end their connections, so
// that clients go elsewhere by themselves, those of HTTP/2 when their connection is
// quiet, and the guard lets no new request over HTTP/3 pass, unless those finish as well
// (moveHTTP3); closeHTTP3 ends its connections. It may be called again: a drain can
// be turned into a stop.
func (rt *childRuntime) leave() {
	rt.leaveOnce.Do(func() {
		rt.left = time.Now()
		rt.closing.Store(true)
		close(rt.leaving)
	})
	rt.leaveHTTP2()
	rt.mu.Lock()
	listeners := make([]*listener, 0, len(rt.listeners))
	for l := range rt.listeners {
		listeners = append(listeners, l)
	}
	rt.mu.Unlock()
	for _, l := range listeners {
		l.release()
	}
}

// track counts a connection until it is closed.
func (rt *childRuntime) track(c net.Conn) {
	rt.mu.Lock()
	rt.conns[c] = struct{}{}
	rt.mu.Unlock()
}

func (rt *childRuntime) untrack(c net.Conn) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if _, ok := rt.conns[c]; !ok {
		return
	}
	delete(rt.conns, c)
	if len(rt.conns) == 0 {
		close(rt.connsGone)
		rt.connsGone = make(chan struct{})
	}
}

// connState keeps account of the connections on which no request has come yet. It
// is called for every change of every connection's state; idle is only one that
// was active before.
func (rt *childRuntime) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		rt.unused.Store(c, time.Now())
	case http.StateActive, http.StateClosed:
		rt.unused.Delete(c)
	}
}

// closeUnused cuts the connections on which no request has come yet and whose
// clients have sent nothing for as long as grace: whoever is about to send one has
// the time for it.
func (rt *childRuntime) closeUnused(grace time.Duration) {
	rt.unused.Range(func(key, since any) bool {
		if c := key.(net.Conn); silence(c, since.(time.Time)) >= grace {
			_ = c.Close()
		}
		return true
	})
}

// silence is how long nothing has come from the client of a connection that was
// accepted at that time. Where that is not known, it is the time since then.
func silence(c net.Conn, accepted time.Time) time.Duration {
	age := time.Since(accepted)
	if raw := socket.Raw(c); raw != nil {
		if ago, ok := socket.LastHeard(raw); ok {
			return min(age, ago)
		}
	}
	return age
}

// quietFor is how long nothing has come on any open connection, where that is known.
func (rt *childRuntime) quietFor() time.Duration {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	shortest := time.Duration(math.MaxInt64)
	for c := range rt.conns {
		shortest = min(shortest, silence(c, rt.left))
	}
	return shortest
}

// noConns returns a channel that is closed when no connection is open.
func (rt *childRuntime) noConns() <-chan struct{} {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if len(rt.conns) > 0 {
		return rt.connsGone
	}
	done := make(chan struct{})
	close(done)
	return done
}

// closeConns cuts every connection.
func (rt *childRuntime) closeConns() {
	rt.mu.Lock()
	conns := make([]net.Conn, 0, len(rt.conns))
	for c := range rt.conns {
		conns = append(conns, c)
	}
	rt.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}
