// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

func TestDialFailureGoesToTheNextBackend(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			good := newBackendServer(t, "good", nil)
			p := newProxy(t, upstreams(deadAddress(t), deadAddress(t), good.addr()))
			a := p.do(method, "hello")
			if a.status != 200 || a.body != "hello" || a.header.Get("X-Backend") != "good" {
				t.Errorf("got %+v, want the echo of the third backend", a)
			}
			if s := a.header.Get(proxystatus.Header); s != "" {
				t.Errorf("Proxy-Status %q on a success", s)
			}
			if n := good.count.Load(); n != 1 {
				t.Errorf("executed %d times, want once", n)
			}
			if n := p.asked.Load(); n > 3 {
				t.Errorf("Caddy asked %d times, want at most once for each backend", n)
			}
		})
	}
}
