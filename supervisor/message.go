// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"fmt"
	"time"
)

// kind names a message on the control connection.
type kind string

// Messages of a child.
const (
	msgListen   kind = "listen"   // Network, Address, Perm: the answer has the same ID
	msgReady    kind = "ready"    // loaded; may be activated
	msgBeat     kind = "beat"     // alive, and it proved it
	msgReleased kind = "released" // a draining child accepts and reads no more
	msgFailed   kind = "failed"   // Error: why it is about to exit
	msgReport   kind = "report"   // Topic, Data: for the parent's user; with an ID it is answered
)

// Messages of a parent.
const (
	msgHello    kind = "hello"    // the first one: Config, Admin, Timeout (of a drain), Data
	msgListened kind = "listened" // Error, or one file
	msgReported kind = "reported" // the report with that ID was taken, or Error says why not
	msgActivate kind = "activate" // accept connections; Data, as with hello
	msgPackets  kind = "packets"  // read datagram sockets, too
	msgDrain    kind = "drain"    // replaced: finish what is in progress within Timeout
	msgStop     kind = "stop"     // Mode: immediate or force
	msgTell     kind = "tell"     // Topic, Data: for the child's user
)

// message is one line of JSON on the control connection. Files travel beside it.
type message struct {
	Kind    kind            `json:"kind"`
	ID      uint64          `json:"id,omitempty"`
	Network string          `json:"network,omitempty"`
	Address string          `json:"address,omitempty"`
	Perm    uint32          `json:"perm,omitempty"`
	Error   string          `json:"error,omitempty"`
	Admin   string          `json:"admin,omitempty"`
	Config  json.RawMessage `json:"config,omitempty"`
	Mode    Mode            `json:"mode,omitempty"`
	Timeout time.Duration   `json:"timeout,omitempty"`
	Topic   string          `json:"topic,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Files   int             `json:"files,omitempty"`

	files []int // those that came with it
}

func decodeMessage(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("decoding control message: %w", err)
	}
	return m, nil
}

// Mode is how a child is stopped.
type Mode string

// The two modes.
const (
	// Immediate takes nothing new, lets requests in progress finish, interrupts
	// those that only wait to receive, then ends.
	Immediate Mode = "immediate"
	// Force cuts everything; the child is gone within a second.
	Force Mode = "force"
)
