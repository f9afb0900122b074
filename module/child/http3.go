// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/relay"
)

// http3Server is an HTTP/3 server. Both of its methods wait for handlers.
type http3Server interface {
	// Shutdown tells clients to send nothing new on their connections.
	Shutdown(context.Context) error
	// Close cuts the connections, so that clients make new ones.
	Close() error
}

func (rt *childRuntime) addHTTP3(s http3Server) {
	rt.mu.Lock()
	rt.h3[s] = struct{}{}
	rt.mu.Unlock()
}

const (
	// handshakeTime is how long there must have been no handshake before the server sends
	// its clients elsewhere: a connection that gets through it later would belong to no
	// server. After unusedGrace it is done all the same.
	handshakeTime = 500 * time.Millisecond
	// silentTime is how long nothing must have come from clients whose requests are
	// answered: they have acknowledged the answers then.
	silentTime = time.Second
	// readerTime is how long the next process may take to begin to read.
	readerTime = 5 * time.Second
)

// readPackets opens the gate of the datagram sockets. What belongs to connections of
// processes that read before goes to them from the first datagram on.
func (rt *childRuntime) readPackets() {
	rt.packetsOnce.Do(func() {
		var names []string
		rt.mu.Lock()
		for p := range rt.datagrams {
			names = append(names, p.name)
		}
		rt.mu.Unlock()
		for rt.link != nil {
			conn, err := rt.link.Relay(control.RelayNext)
			if err != nil {
				break
			}
			rt.sender.Add(conn, names)
		}
		close(rt.packets)
	})
}

// askRelay returns where the datagrams of this process's connections will come from when
// another one reads the sockets. It is nil if this one has read none, or if there is no
// such way: its connections have to be cut then.
func (rt *childRuntime) askRelay() net.Conn {
	rt.mu.Lock()
	n := len(rt.datagrams)
	rt.mu.Unlock()
	if n == 0 || rt.link == nil || !closed(rt.packets) {
		return nil
	}
	conn, err := rt.link.Relay(control.RelayOwn)
	if err != nil {
		return nil
	}
	return conn
}

// moveHTTP3 leaves the datagram sockets to the next process and finishes the requests on
// the connections that it has there, with what comes from conn. done is closed when there
// are none any more, or when they were cut because nothing comes.
func (rt *childRuntime) moveHTTP3(conn net.Conn) (done <-chan struct{}) {
	rt.mu.Lock()
	sockets := make(map[string]*packetConn, len(rt.datagrams))
	for p := range rt.datagrams {
		sockets[p.name] = p
		p.release()
	}
	rt.mu.Unlock()
	rt.sender.Close()

	read, lost := make(chan struct{}), make(chan struct{})
	var first sync.Once
	go func() {
		defer close(lost)
		_ = relay.Receiver{
			Sockets: func(names []string) {
				first.Do(func() { close(read) })
				for name, p := range sockets {
					if !slices.Contains(names, name) {
						p.keep()
					}
				}
			},
			Datagram: func(name string, from netip.AddrPort, datagram []byte) {
				if p := sockets[name]; p != nil {
					rt.heard.Store(time.Now().UnixNano())
					p.deliver(from, datagram)
				}
			},
		}.Receive(conn)
	}()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		rt.finishMoved(conn, read, lost)
		_ = conn.Close()
		<-lost
	}()
	return finished
}

// finishMoved ends the connections when the requests on them are answered. read is
// closed when the next process reads, lost when none will.
func (rt *childRuntime) finishMoved(conn net.Conn, read, lost <-chan struct{}) {
	unread := time.NewTimer(readerTime)
	defer unread.Stop()
	select {
	case <-read:
	case <-lost:
	case <-unread.C:
		_ = conn.Close()
	}
	tick := time.NewTicker(idlePoll)
	defer tick.Stop()
	rt.awaitHandshakes(lost, tick.C)
	gone := rt.shutdownHTTP3()
	answered, named := time.Now(), time.Now()
	var before []netip.AddrPort
	for {
		select {
		case <-gone:
			rt.closeHTTP3()
			return
		case <-lost:
			rt.cutHTTP3()
			return
		case now := <-tick.C:
			if rt.requests.http3() {
				answered = now
			}
			silent := now.Sub(time.Unix(0, rt.heard.Load()))
			if quiet := now.Sub(answered); quiet >= unusedGrace || quiet >= silentTime && silent >= silentTime {
				rt.closeHTTP3()
				return
			}
			// Of the others clients may have to acknowledge answers.
			if now.Sub(named) >= unusedGrace {
				clients := rt.requests.http3Clients()
				_ = relay.Want(conn, append(before, clients...))
				named, before = now, clients
			}
		}
	}
}

// awaitHandshakes waits for those of the connections that began before another process
// read.
func (rt *childRuntime) awaitHandshakes(lost <-chan struct{}, tick <-chan time.Time) {
	for begun := time.Now(); ; {
		select {
		case <-lost:
			return
		case now := <-tick:
			last := time.Unix(0, rt.shaking.Load())
			if wait := now.Sub(begun); wait >= unusedGrace || wait >= handshakeTime && now.Sub(last) >= handshakeTime {
				return
			}
		}
	}
}

// note takes down that a datagram came, or went, that belongs to a handshake.
func (rt *childRuntime) note(datagram []byte) {
	if len(datagram) > 0 && datagram[0]&0x80 != 0 {
		rt.shaking.Store(time.Now().UnixNano())
	}
}

// cutHTTP3 cuts the HTTP/3 connections of a process that was replaced.
func (rt *childRuntime) cutHTTP3() {
	rt.moving.Store(false)
	rt.cutOff("the process was replaced, which ends HTTP/3 connections", func(q *inflight) bool { return q.http3 })
	rt.closeHTTP3()
}

// shutdownHTTP3 tells HTTP/3 clients to go elsewhere. The channel is closed when
// all of them have their answers and are gone.
func (rt *childRuntime) shutdownHTTP3() <-chan struct{} {
	var wg sync.WaitGroup
	rt.mu.Lock()
	for s := range rt.h3 {
		wg.Go(func() { _ = s.Shutdown(context.Background()) })
	}
	rt.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		wg.Wait()
		close(gone)
	}()
	return gone
}

// closeHTTP3 cuts the HTTP/3 connections and leaves their sockets to the next
// process. It does not wait for handlers, which may take their time.
func (rt *childRuntime) closeHTTP3() {
	rt.moving.Store(false)
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for s := range rt.h3 {
		go func() { _ = s.Close() }()
	}
	for p := range rt.datagrams {
		p.release()
	}
	rt.sender.Close()
}

// answerTime is what the end of an answer over HTTP/3 gets to reach its client.
const answerTime = 500 * time.Millisecond

// finishHTTP3 ends HTTP/3 connections when the requests on them are answered, no
// later: another process may read the same sockets already.
func (rt *childRuntime) finishHTTP3() {
	gone := rt.shutdownHTTP3()
	tick := time.NewTicker(idlePoll)
	defer tick.Stop()
	for rt.requests.http3() {
		<-tick.C
	}
	select {
	case <-gone:
	case <-time.After(answerTime):
	}
	rt.closeHTTP3()
}
