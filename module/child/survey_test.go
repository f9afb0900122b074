// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"strings"
	"testing"
)

// A server is open unless all of its handlers are known to execute nothing, or to say so.
func TestOpenServers(t *testing.T) {
	const (
		stock = `{"handler":"reverse_proxy","upstreams":[{"dial":":1"}],"load_balancing":{"selection_policy":{"policy":"first"}}}`
		ours  = `{"handler":"reverse_proxy","load_balancing":{"selection_policy":{"policy":"failover"}}}`
	)
	in := func(handler string) string {
		return `{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[` + handler + `]}]}]}]}`
	}
	for server, open := range map[string]bool{
		`{"listen":[":80"]}`:                false,
		in(`{"handler":"static_response"}`): false,
		in(ours):                            false,
		in(ours + "," + stock):              true,
		in(stock):                           true,
		in(`{"handler":"reverse_proxy"}`):   true,
		in(strings.Replace(ours, "load_balancing", "Load_Balancing", 1)):       true,
		in(`{"handler":"of_another_module"}`):                                  true,
		`{"errors":{"routes":[{"handle":[` + stock + `]}]}}`:                   true,
		`{"named_routes":{"a":{"handle":[` + stock + `]}}}`:                    true,
		in(`{"handler":"headers","response":{"set":{"Handler":["unknown"]}}}`): false,
	} {
		out, err := PrepareConfig([]byte(`{"apps":{"http":{"servers":{"a":`+server+`}}}}`), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(out), `{"handler":"broker_guard","open":true}`); got != open {
			t.Errorf("open: %v, want %v, for %s", got, open, server)
		}
	}
}
