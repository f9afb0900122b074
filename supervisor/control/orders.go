// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"time"
)

// Hello is what a process is told at its start.
type Hello struct {
	// Config is the configuration to serve.
	Config json.RawMessage
	// Admin is the path for this process's private admin socket.
	Admin string
	// DrainTimeout bounds what is in progress when the supervisor is gone; 0 is for ever.
	DrainTimeout time.Duration
	// Data is from the supervisor's user.
	Data json.RawMessage
	// Unbound: take no socket before this process is activated.
	Unbound bool
}

// Orders is what a supervisor may tell its child. The functions are called one
// at a time, in order, on the link's goroutine: they must not wait for users.
type Orders struct {
	// Unbind: close the sockets, and take them again when activated: on an address that only
	// a process has which waits, users would wait as well.
	Unbind func()
	// Activate: accept connections. What the process shall know for that was told
	// right before. One that was unbound says [Link.Bound] when it has its sockets.
	Activate func()
	// Prove: say with [Link.Proved] whether this process would serve well. What it shall
	// know for that was told right before; data says what to prove.
	Prove func(data json.RawMessage)
	// Probe: say with [Link.Probed] whether this process, which serves, serves well; data
	// says how to find out.
	Probe func(data json.RawMessage)
	// Packets: read datagram sockets as well.
	Packets func()
	// Drain: replaced; finish what is in progress within timeout (0: for ever), then exit.
	Drain func(timeout time.Duration)
	// Stop in mode, then exit.
	Stop func(mode Mode)
	// Tell: something from the parent's user.
	Tell func(topic string, data json.RawMessage)
	// Orphaned: the supervisor is gone, or cannot be understood; nothing else follows.
	Orphaned func(why error)
}
