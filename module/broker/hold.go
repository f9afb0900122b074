// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// What users may take of this process while it answers them; places.go has the bound
// of their connections.
const (
	// heldHeader bounds the header of a request, in bytes.
	heldHeader = 4 << 10
	// heldTime bounds each of reading a request and writing the answer.
	heldTime = 5 * time.Second
)

// hold answers on the held sockets that speak plain HTTP/1 until the next start,
// so that users who would have to wait long get an answer now. What it returns
// ends that: a client that has connected by then is still answered, the queue is left
// to the child.
func (c *Hosted) hold(held *sockets.Holder, next time.Time) (release func()) {
	srv := &http.Server{Handler: holdHandler(next), ReadHeaderTimeout: heldTime, WriteTimeout: heldTime, MaxHeaderBytes: heldHeader}
	srv.SetKeepAlivesEnabled(false)
	room := newPlaces()
	var closers []func()
	for _, name := range c.pools.plain() {
		network, address, _ := strings.Cut(name, "/")
		socket, ok := held.Listener(network, address)
		if !ok {
			continue
		}
		ln := room.listen(socket)
		closers = append(closers, func() { _ = ln.Close() })
		go func() { _ = srv.Serve(ln) }()
	}
	return func() {
		for _, f := range closers {
			f()
		}
	}
}

// holdHandler says when to come back.
func holdHandler(next time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seconds := max(1, int(math.Ceil(time.Until(next).Seconds())))
		h := w.Header()
		h.Set("Connection", "close")
		h.Set("Retry-After", strconv.Itoa(seconds))
		h.Set("Proxy-Status", fmt.Sprintf(`%s; error=destination_unavailable; details="broker is restarting"`, proxystatus.DefaultName))
		http.Error(w, "The service is restarting.", http.StatusServiceUnavailable)
	})
}
