// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/module/proxy"
)

// change sends a body to the pool's uris.
func change(pool *failover.Pool, method, body string) error {
	r := httptest.NewRequest(method, "/broker/pools/fuzz/uris", strings.NewReader(body))
	if err := operate(proxy.Pool{Pool: pool, Name: "fuzz"}, r, "uris"); err != nil {
		return poolFailure(err)
	}
	return nil
}

// FuzzChangeURIs: whatever is sent to a pool's uris, what is refused changes
// nothing and has a client's status, and what is accepted was said in full: each
// address is there after POST and gone after DELETE, and nothing else changed.
func FuzzChangeURIs(f *testing.F) {
	for _, body := range []string{
		`{"uris": ["http://10.0.0.9:80"]}`,
		`{"uris": ["http://10.0.0.1:80", "http://10.0.0.9:80"], "rebalance": true}`,
		`{"uris": ["unix//run/app.sock", "http://[::1]:80?maxRequests=5"]}`,
		`{"uris": ["http://10.0.0.1:80", "http://10.0.0.2:80"]}`,
		`{"uris": ["http://10.0.0.9:80", "https://10.0.0.9:443"]}`,
		`{"uris": []}`, `{}`, `null`, ``, `[]`, `{"uris": null}`, `{"uris": "http://10.0.0.9:80"}`,
		`{"uri": ["http://10.0.0.9:80"]}`, `{"uris": ["http://10.0.0.9:80"], "force": true}`,
		`{"uris": ["http://10.0.0.9:80"]} {"uris": ["http://10.0.0.8:80"]}`,
		`{"uris": ["http://10.0.0.9:80"]}garbage`, `{"uris": ["http://10.0.0.9:80"`,
		`{"uris": ["http://10.0.0.9:80"], "uris": ["http://10.0.0.8:80"]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			pool := proxytest.NewPool(t, "http://10.0.0.1:80", "http://10.0.0.2:80", "http://10.0.0.3:80")
			before := proxytest.Addresses(pool)
			err := change(pool, method, body)
			after := proxytest.Addresses(pool)
			if err != nil {
				var api apiError
				if !errors.As(err, &api) || api.status < 400 || api.status > 499 {
					t.Errorf("%s: the error %v has no client's status", method, err)
				}
				if !slices.Equal(before, after) {
					t.Errorf("%s was refused, %v, and changed the pool to %v", method, err, after)
				}
				continue
			}
			var said struct {
				URIs      []string
				Rebalance bool
			}
			if err := json.Unmarshal([]byte(body), &said); err != nil {
				t.Fatalf("%s was accepted, and is no JSON value: %v", method, err)
			}
			want := slices.Clone(before)
			for _, text := range said.URIs {
				u, err := address.ParseURI(text)
				if err != nil {
					t.Fatalf("%s accepted %q: %v", method, text, err)
				}
				want = slices.DeleteFunc(want, func(s string) bool { return s == u.Name() })
				if method == http.MethodPost {
					want = append(want, u.Name())
				}
			}
			slices.Sort(want)
			if !reflect.DeepEqual(after, want) || len(after) == 0 {
				t.Errorf("%s left %v, want %v", method, after, want)
			}
		}
	})
}

// TestChangeURIsIsBounded: a body is read up to a limit, and one that is longer
// is refused as a whole.
func TestChangeURIsIsBounded(t *testing.T) {
	var many []string
	for i := range 40000 {
		many = append(many, fmt.Sprintf("http://10.1.%d.%d:80", i/256, i%256))
	}
	body, err := json.Marshal(map[string]any{"uris": many})
	if err != nil || len(body) < maxURIsBody/2 {
		t.Fatalf("%d bytes, %v", len(body), err)
	}
	for name, text := range map[string]string{
		"too many":          string(body),
		"too long":          string(body) + strings.Repeat(" ", maxURIsBody),
		"one byte too long": string(body[:len(body)-2]) + strings.Repeat(" ", maxURIsBody-len(body)+1) + "]}",
		"endless name":      `{"uris": ["http://` + strings.Repeat("a", maxURIsBody) + `:80"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			pool := proxytest.NewPool(t, "http://10.0.0.1:80", "http://10.0.0.2:80")
			err := change(pool, http.MethodPost, text)
			var api apiError
			if !errors.As(err, &api) || api.status != http.StatusRequestEntityTooLarge {
				t.Errorf("got %v, want status 413", err)
			}
			if n := len(proxytest.Addresses(pool)); n != 2 {
				t.Errorf("the pool has %d addresses, want its two", n)
			}
		})
	}
}
