// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"maps"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// browsable lets a browser open the console at an admin endpoint on loopback. A browser
// that is told to go to an address names no origin, and Caddy allows that only where it is
// among the origins. What else that would open is closed again by package admin, which
// answers a request without an origin for the console alone.
//
// Origins that the user gives, or wants to be enforced, stay as they are.
func browsable(value any, listen string) any {
	admin, ok := value.(object)
	if !ok && value != nil {
		return value // Caddy says what it makes of that
	}
	admin, err := spelled(admin, "origins", "enforce_origin")
	if err != nil {
		return value
	}
	enforced, _ := admin["enforce_origin"].(bool)
	origins := assumed.LoopbackOrigins(listen)
	if admin["origins"] != nil || enforced || origins == nil {
		return value
	}
	if admin = maps.Clone(admin); admin == nil {
		admin = object{}
	}
	admin["origins"] = append(origins, "")
	return admin
}
