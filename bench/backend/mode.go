// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package backend

// Mode is how a running backend behaves.
type Mode string

// The modes.
const (
	// Serve answers with the name of the backend.
	Serve Mode = "serve"
	// Starting answers 503 to everything, as a server does that is deploying.
	Starting Mode = "starting"
	// Close accepts connections and closes them at once, old ones too.
	Close Mode = "close"
	// Reset reads a request that carries an id and resets its connection. Health
	// checks, which carry none, find nothing wrong.
	Reset Mode = "reset"
	// Cut announces CutLength bytes, sends CutAfter of them and closes.
	Cut Mode = "cut"
	// Drop lets new connections run into a full queue, whose packets the kernel
	// drops. Connections that exist are left alone.
	Drop Mode = "drop"
)

// The answer in mode Cut.
const (
	CutLength = 100_000
	CutAfter  = 1_000
)

// Config is what a backend is told at its start.
type Config struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	// Record is the file for requests that carry an id; none when empty.
	Record string `json:"record"`
	// OneRequest closes each connection after one answer.
	OneRequest bool `json:"one_request"`
	Mode       Mode `json:"mode"`
}

// Record is one request that a backend began to execute.
type Record struct {
	ID     string
	Method string
	Mode   Mode // of the backend at that moment
}
