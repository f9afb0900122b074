// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// Where the user has not said how many idle connections are kept, there are enough for
// many requests at a time, also when the transport is made anew for its dial timeout.
func TestIdleConns(t *testing.T) {
	long := 2 * address.DefaultConnectionTimeout
	for name, c := range map[string]struct {
		keep   *reverseproxy.KeepAlive
		nested address.URIOptions
		want   int
	}{
		"nothing said":   {want: idleConns},
		"other timeouts": {nested: address.URIOptions{ConnectionTimeout: &long}, want: idleConns},
		"said":           {keep: &reverseproxy.KeepAlive{MaxIdleConnsPerHost: 7}, want: 7},
		"said, timeouts": {keep: &reverseproxy.KeepAlive{MaxIdleConnsPerHost: 7}, nested: address.URIOptions{ConnectionTimeout: &long}, want: 7},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
			defer cancel()
			ht := &reverseproxy.HTTPTransport{KeepAlive: c.keep}
			if err := ht.Provision(ctx); err != nil {
				t.Fatal(err)
			}
			options := address.DefaultOptions()
			options.Nested = c.nested
			w := New(ht)
			w.Options = &options
			if err := w.hookDials(ctx); err != nil {
				t.Fatal(err)
			}
			if got := w.http.MaxIdleConnsPerHost; got != c.want || ht.Transport != w.http {
				t.Errorf("%d idle connections are kept, want %d", got, c.want)
			}
		})
	}
}
