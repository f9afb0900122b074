// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"strings"
)

// agents are what finds addresses here.
const agents = "use updateURIsURL, `discovery mdns SERVICE` in the block of lb_policy failover, or `dynamic srv` or `dynamic a` in its reverse_proxy"

// instead says what to use for schemes that have a meaning elsewhere.
var instead = map[string]string{
	"failover":    "name the addresses of the inner list in the outer one",
	"static":      "name the addresses in failover:(...)",
	"simple":      "name the addresses in failover:(...)",
	"masterslave": "name the addresses in failover:(...)?randomize=false",
	"fanout":      "a request goes to one backend; name the addresses in failover:(...)",
	"discovery":   agents,
	"multicast":   agents,
	"zeroconf":    agents,
	"peer":        "name the addresses in failover:(...)",
	"vm":          "name the address of an HTTP backend",
	"udp":         "name the address of an HTTP backend",
	"nio":         "write http",
	"nio+ssl":     "write https",
	"auto":        "write http",
	"auto+ssl":    "write https",
	"ws":          "write http: WebSocket connections pass through it",
	"wss":         "write https: WebSocket connections pass through it",
	"amqp":        "name the address of an HTTP backend",
	"mqtt":        "name the address of an HTTP backend",
	"stomp":       "name the address of an HTTP backend",
	"unix+h2c":    "write unix, and choose the protocol in reverse_proxy: transport http { versions h2c }",
	"fd":          "name the address of an HTTP backend",
	"srv":         "use `dynamic srv` in reverse_proxy with lb_policy failover",
}

const allowedSchemes = "http, https, h2c, unix, tcp (taken as http) and ssl (as https)"

// schemeError says of a scheme that no backend has what to write instead.
func schemeError(scheme string) error {
	lower := strings.ToLower(scheme)
	if outer, _, ok := strings.Cut(lower, ":"); ok && instead[outer] != "" {
		scheme, lower = outer, outer // static:http://a
	}
	switch {
	case strings.Contains(scheme, "%"):
		return fmt.Errorf("scheme %s: percent escapes are for the values of options only", Quote(scheme))
	case lower == SchemeUnix:
		return errors.New("a unix address needs the absolute path of a socket: expecting unix//run/app.sock or unix:///run/app.sock")
	case scheme != lower && schemeOf[lower] != "":
		return fmt.Errorf("scheme %s: write %s", Quote(scheme), lower)
	case instead[lower] != "":
		return fmt.Errorf("scheme %s is not one of a backend: %s", Quote(scheme), instead[lower])
	}
	return fmt.Errorf("unknown scheme %s: allowed are %s", Quote(scheme), allowedSchemes)
}

// outerSchemeError explains a failover address that does not begin as one.
func outerSchemeError(s string) error {
	const expecting = "expecting failover:(http://HOST:PORT,...)?option=value"
	scheme, _, ok := strings.Cut(s, ":")
	lower := strings.ToLower(scheme)
	switch {
	case ok && lower == "failover":
		return fmt.Errorf("scheme %s: write failover, in lower case", Quote(scheme))
	case strings.HasPrefix(s, "failover("):
		return errors.New("the colon is missing: write failover:(...)")
	case ok && (schemeOf[lower] != "" || lower == SchemeUnix):
		return fmt.Errorf("it is the address of one backend, not a list: write failover:(%s)", strings.Trim(Quote(s), `"`))
	case ok && instead[lower] != "":
		return fmt.Errorf("scheme %s: %s", Quote(scheme), instead[lower])
	}
	return fmt.Errorf("%s does not begin as one: %s", Quote(s), expecting)
}

// foreignOption says why an option of the reference client, or of another
// system, does not exist here.
func foreignOption(name string) string {
	switch {
	case name == "reconnectDelay":
		return "the first wait is initialReconnectDelay; "
	case name == "trackTransactionProducers", name == "trackTransactions":
		return "there are no transactions in HTTP; "
	case name == "nestedExtraQueryOptions":
		return "write each option as nested.NAME; "
	case strings.HasPrefix(name, "jms."):
		return "options of a JMS client have no meaning in HTTP; "
	case strings.HasPrefix(name, "discovered."):
		return "write nested.NAME, which holds for discovered addresses too; "
	case secondNames[name] != "":
		return "it belongs to the form (uri,...)?ha=true&reconnectAttempts=N; "
	}
	return ""
}
