// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import "slices"

// closedHandlers are Caddy's handlers, and ours, that execute no request of a client
// themselves: at most they hand it on, or answer with what is there.
var closedHandlers = map[string]bool{
	"authentication": true, "copy_response": true, "copy_response_headers": true, "encode": true, "error": true,
	"file_server": true, "headers": true, "intercept": true, "invoke": true, "log_append": true, "map": true, "metrics": true,
	"push": true, "request_body": true, "rewrite": true, "static_response": true, "subroute": true, "templates": true,
	"timeouts": true, "tracing": true, "vars": true,
	GuardName: true, "broker_uris": true,
}

// isOpen reports whether a part of a configuration has a handler that may execute a
// request and keeps no account of that: a proxy without our policy, or a module that
// is not known here.
func isOpen(part any) bool {
	switch part := part.(type) {
	case []any:
		return slices.ContainsFunc(part, isOpen)
	case object:
		name, ok := part["handler"].(string)
		if closed := closedHandlers[name] || name == "reverse_proxy" && hasPolicy(part); ok && !closed {
			return true
		}
		for _, v := range part {
			if isOpen(v) {
				return true
			}
		}
	}
	return false
}

// hasPolicy reports whether a proxy has our policy. Names that Caddy would know in
// another spelling are not looked for: then it counts as one that has not.
func hasPolicy(proxy object) bool {
	balancing, _ := proxy["load_balancing"].(object)
	policy, _ := balancing["selection_policy"].(object)
	return policy["policy"] == "failover"
}
