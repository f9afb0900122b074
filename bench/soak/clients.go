// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// The names of loads, and with them of their requests.
const (
	orderedPrefix = "ordered-"
	trackedPrefix = "tracked-"
	keyedSuffix   = "keyed-"
)

const (
	// rate is that of each load, in requests per second.
	rate = 40
	// idle is how long clients keep a connection that they do not use: less than
	// the drain_timeout, after which a replaced child closes them.
	idle = time.Second
	// clientTimeout is longer than anything that may happen.
	clientTimeout = 30 * time.Second
)

// keyed reports whether a request of that name carried an Idempotency-Key.
func keyed(id string) bool { return strings.Contains(id, keyedSuffix) }

// loads are all requests of a soak: two sites, kept and new connections, methods
// of every kind, quick ones and some that take a moment.
func loads(addr string) []*harness.Load {
	tracked := func(client string) http.Header {
		return http.Header{"X-Site": {"tracked"}, "X-Client": {client}}
	}
	client := func(kept bool) *harness.Client {
		return &harness.Client{Addr: addr, KeepAlive: kept, Watch: kept, Idle: idle, Timeout: clientTimeout}
	}
	body := []byte(strings.Repeat("order ", 50))
	requests := func(h http.Header) []harness.Request {
		return []harness.Request{
			{Method: "GET", Header: h},
			{Method: "POST", Header: h, Body: body},
			{Method: "GET", Header: h, Path: "/?delay=200ms"},
			{Method: "PUT", Header: h, Body: body},
			{Method: "POST", Header: h, Body: body, Path: "/?delay=100ms"},
			{Method: "DELETE", Header: h},
			{Method: "PUT", Header: h, Body: body, Path: "/?delay=100ms"},
		}
	}
	// Sixteen clients, and seven requests: each client sends several kinds.
	var many []harness.Request
	for i := range 16 {
		many = append(many, requests(tracked(strconv.Itoa(i)))[i%7])
	}
	key := tracked("k")
	key.Set("Idempotency-Key", "k")
	withKey := []harness.Request{{Method: "POST", Header: key, Body: body, Path: "/?delay=50ms"}}
	return []*harness.Load{
		{Client: client(true), Rate: rate, Name: orderedPrefix + "kept", Requests: requests(nil)},
		{Client: client(false), Rate: rate, Name: orderedPrefix + "new", Requests: requests(nil)},
		{Client: client(true), Rate: rate, Name: trackedPrefix + "kept", Requests: many},
		{Client: client(true), Rate: rate / 4, Name: trackedPrefix + keyedSuffix + "kept", Requests: withKey},
	}
}

// slowClient is one that sends a byte at a time and leaves in the middle of its
// header, of its body, or of the answer.
func slowClient(ctx context.Context, addr string, rng *rand.Rand, every time.Duration) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	text := "POST /?delay=10ms HTTP/1.1\r\nHost: slow\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("x", 100)
	sent := text[:rng.IntN(len(text)+1)]
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range len(sent) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := conn.Write([]byte{sent[i]}); err != nil {
			return
		}
	}
}
