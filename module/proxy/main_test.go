// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-broker/caddy-broker/internal/sidebyside"
)

func TestMain(m *testing.M) {
	sidebyside.Tests(8) // what calls t.Parallel waits
	goleak.VerifyTestMain(
		m, // what Caddy never ends: who cleans its table of hosts, and what rolls log files
		goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy.(*Upstream).fillDynamicHost.func1.1"),
		goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
		// A lookup that nothing waits for any more ends when the resolver gives it up.
		goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder"),
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("net.(*Resolver).tryOneName"),
	)
}
