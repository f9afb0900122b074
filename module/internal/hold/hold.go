// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package hold

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// What users may take of this process while it answers them; places.go has the bound
// of their connections.
const (
	// maxHeader bounds the header of a request, in bytes.
	maxHeader = 4 << 10
	// patience bounds each of reading a request and writing the answer.
	patience = 5 * time.Second
)

// Answer answers on sockets that speak plain HTTP/1 until the next start, so that users
// who would have to wait long get an answer now. What it returns ends that: a client that
// has connected by then is still answered, the queue is left to the next process.
func Answer(held []net.Listener, next time.Time) (release func()) {
	srv := &http.Server{Handler: handler(next), ReadHeaderTimeout: patience, WriteTimeout: patience, MaxHeaderBytes: maxHeader}
	srv.SetKeepAlivesEnabled(false)
	room := newPlaces()
	var closers []func()
	for _, socket := range held {
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

// handler says when to come back.
func handler(next time.Time) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seconds := max(1, int(math.Ceil(time.Until(next).Seconds())))
		h := w.Header()
		h.Set("Connection", "close")
		h.Set("Retry-After", strconv.Itoa(seconds))
		h.Set("Proxy-Status", fmt.Sprintf(`%s; error=destination_unavailable; details="broker is restarting"`, proxystatus.DefaultName))
		http.Error(w, "The service is restarting.", http.StatusServiceUnavailable)
	})
}
