// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import "time"

// Limits are address options with nothing left open.
type Limits struct {
	// MaxRequests is 0 for no limit.
	MaxRequests       int
	ConnectionTimeout time.Duration
	// SoTimeout and MaxInactivityDuration are 0 for never.
	SoTimeout             time.Duration
	MaxInactivityDuration time.Duration
}

// LimitsOf are those of an address with these options, in a pool with those for every address,
// which win.
func LimitsOf(own, nested URIOptions) Limits {
	l := Limits{
		ConnectionTimeout:     DefaultConnectionTimeout,
		MaxInactivityDuration: DefaultMaxInactivityDuration,
	}
	for _, o := range []URIOptions{own, nested} {
		if o.MaxRequests != nil {
			l.MaxRequests = *o.MaxRequests
		}
		if o.ConnectionTimeout != nil {
			l.ConnectionTimeout = *o.ConnectionTimeout
		}
		if o.SoTimeout != nil {
			l.SoTimeout = *o.SoTimeout
		}
		if o.MaxInactivityDuration != nil {
			l.MaxInactivityDuration = *o.MaxInactivityDuration
		}
	}
	return l
}
