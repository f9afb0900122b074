// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestErrorsAreTheUsers: what is wrong with a configuration is said as Caddy says it
// of that very configuration, not of what a child makes of it.
func TestErrorsAreTheUsers(t *testing.T) {
	check := func(config []byte) string {
		t.Helper()
		var cfg *caddy.Config
		err := caddy.StrictUnmarshalJSON(config, &cfg)
		if err == nil {
			err = caddy.Validate(cfg)
		}
		if err == nil {
			t.Fatalf("there is nothing wrong with %s", config)
		}
		return err.Error()
	}
	const none, bad = `{"handle":[{"handler":"static_response"}]}`, `{"handle":[{"handler":"none_of_that_name"}]}`
	const inner = `{"handle":[{"handler":"subroute","routes":[` + none + `,` + bad + `]}]}`
	server := func(s string) string {
		return `{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":[":1"],"automatic_https":{"disable":true},` + s + `}}}}}`
	}
	for name, config := range map[string]string{
		"first route":   server(`"routes":[` + bad + `]`),
		"third route":   server(`"routes":[` + none + `,` + none + `,` + bad + `]`),
		"below a route": server(`"routes":[` + none + `,` + inner + `]`),
		"matcher":       server(`"routes":[` + none + `,{"match":[{"none_of_that_name":{}}]}]`),
		"error route":   server(`"errors":{"routes":[` + none + `,` + bad + `]}`),
		"named route":   server(`"routes":[` + none + `],"named_routes":{"n":` + inner + `}`),
		"no server":     `{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":7}}}}`,
		"no addresses":  server(`"listen":7`),
		"no routes":     server(`"routes":{}`),
		"no errors":     server(`"errors":[]`),
		"no apps":       `{"apps":[]}`,
		"another field": server(`"none_of_that_name":1`),
		"another app":   `{"admin":{"disabled":true},"apps":{"none_of_that_name":{}}}`,
		"host":          `{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":[":443"],"routes":[` + none + `,{"match":[{"host":["{none.of.that.name}"]}]},` + bad + `]}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			want := check([]byte(config))
			if prepared, err := PrepareConfig([]byte(config), ""); err != nil {
				got = strings.TrimPrefix(refusal([]byte(config), err).Error(), "loading new config: ")
			} else {
				got = inUserWords(check(prepared))
			}
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	for text, want := range map[string]string{
		"http app module: start: listening on broker/:80: listen tcp :80: bind":      "http app module: start: listening on :80: listen tcp :80: bind",
		"http app module: start: listening on unixbroker//run/a: listen unix /run/a": "http app module: start: listening on unix//run/a: listen unix /run/a",
	} {
		if got := inUserWords(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
