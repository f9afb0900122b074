// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// plainSockets are the held sockets ("network/address") on which a child serves
// plain HTTP/1 without listener wrappers: those on which its parent can answer.
func plainSockets() []string {
	app, err := caddy.ActiveContext().AppIfConfigured("http")
	if err != nil {
		return nil
	}
	servers, ok := app.(*caddyhttp.App)
	if !ok {
		return nil
	}
	httpPort := uint(servers.HTTPPort)
	if httpPort == 0 {
		httpPort = caddyhttp.DefaultHTTPPort
	}
	var out []string
	for _, srv := range servers.Servers {
		if len(srv.ListenerWrappersRaw) > 0 {
			continue
		}
		for _, listen := range srv.Listen {
			addr, err := caddy.ParseNetworkAddress(listen)
			real, ours := networks[addr.Network]
			if err != nil || !ours || datagram(real) {
				continue
			}
			for i := range addr.PortRangeSize() {
				if len(srv.TLSConnPolicies) > 0 && addr.StartPort+i != httpPort {
					continue
				}
				address, _, err := socketAddress(real, addr.Host, strconv.Itoa(int(addr.StartPort)), i)
				if err == nil {
					out = append(out, real+"/"+address)
				}
			}
		}
	}
	return out
}

// hold answers on the held sockets that speak plain HTTP/1 until the next start,
// so that users who would have to wait long get an answer now. What it returns
// ends that: whoever has connected by then is still answered, the queue is left
// to the child.
func (c *hosted) hold(held *sockets.Holder, next time.Time) (release func()) {
	srv := &http.Server{Handler: holdHandler(next), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	var closers []func()
	for _, name := range c.pools.plain() {
		network, address, _ := strings.Cut(name, "/")
		ln, ok := held.Listener(network, address)
		if !ok {
			continue
		}
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
