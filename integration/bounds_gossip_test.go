// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// gossipFlood opens a connection from that loopback address and sends the longest
// message that a broker may announce, encrypted with nobody's key, until it is closed.
func gossipFlood(ctx context.Context, from, to string) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := conn.Write([]byte{10, 1, 0x40, 0, 0}); err != nil { // encrypted, 20 MiB
		return
	}
	junk := make([]byte, 64<<10)
	for range (20<<20)/len(junk) - 1 { // one that is whole would be freed
		if _, err := conn.Write(junk); err != nil {
			return
		}
	}
	<-ctx.Done()
}

// Strangers who talk to the gossip port, from one address or from many, take no memory
// worth mentioning, and keep nobody with the key out.
func TestGossipPortIsBounded(t *testing.T) {
	const bound = 32 << 20
	const key = `key "a secret of this network"`
	a := newEdge(t, "a", "127.0.0.1", key)
	a.start(t)
	most := growth(t, a.Process().Pid())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var flood sync.WaitGroup
	defer flood.Wait()
	for i := range 40 {
		from := "127.0.0.9"
		if i%2 == 0 {
			from = net.IPv4(127, 0, 1, byte(i)).String()
		}
		flood.Go(func() {
			for ctx.Err() == nil {
				gossipFlood(ctx, from, a.gossip)
			}
		})
	}
	b := newEdge(t, "b", "127.0.0.1", key, "seeds "+a.gossip)
	undisturbed(t, a.addr, func() { b.start(t) })
	awaitMetric(t, a.Broker, positive, "/metrics", "caddy_broker_network_members")
	n := most()
	t.Logf("the parent grew by %d KiB", n>>10)
	if n > bound {
		t.Errorf("the parent grew by %d MiB, more than %d", n>>20, bound>>20)
	}
}
