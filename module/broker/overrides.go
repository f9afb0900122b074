// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import "sync/atomic"

// Overrides are what flags of `caddy broker run` say about the child `default`.
// They hold as long as the process, over reloads from anywhere.
type Overrides struct {
	Standby *int
	HALog   *string
}

var overrides atomic.Pointer[Overrides]

// Override makes o hold from now on. It is for before a configuration is loaded.
func Override(o *Overrides) { overrides.Store(o) }

func (o *Overrides) apply(opts ChildOptions) ChildOptions {
	if o.Standby != nil {
		opts.Standby = o.Standby
	}
	if o.HALog != nil {
		opts.HALog = o.HALog
	}
	return opts
}
