// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"encoding/json"
	"fmt"
	"time"
)

const (
	// maxOrder bounds one message to a child: the largest is its configuration.
	maxOrder = 256 << 20
	// maxReport bounds one message of a child, which may be broken or hostile.
	maxReport = 1 << 20
)

// Kind names a message on the control connection.
type Kind string

// Messages of a child.
const (
	KindListen   Kind = "listen"   // Network, Address, Perm: the answer has the same ID
	KindReady    Kind = "ready"    // loaded; may be activated
	KindBeat     Kind = "beat"     // alive, and it proved it
	KindReleased Kind = "released" // a draining child accepts and reads no more
	KindBound    Kind = "bound"    // after KindActivate, of one that was unbound: it has its sockets
	KindFailed   Kind = "failed"   // Error: why it is about to exit
	KindProved   Kind = "proved"   // the proof succeeded, or Error says why not
	KindProbed   Kind = "probed"   // it serves well, or Error says why not
	KindReport   Kind = "report"   // Topic, Data: for the parent's user; with an ID it is answered
)

// NetworkParent is the network of a [KindListen] that asks for a connection to the
// parent's user instead of a socket: its address says for what.
const NetworkParent = "parent"

// NetworkRelay is the network of a [KindListen] that asks for an end of a way on which
// the datagrams of a replaced process come to it (package supervisor/relay): its address
// is [RelayOwn] or [RelayNext].
const (
	NetworkRelay = "relay"
	RelayOwn     = "own"  // to this process, which is being replaced
	RelayNext    = "next" // to another process, which was replaced; an error when this one has all
)

// Messages of a parent.
const (
	KindHello    Kind = "hello"    // the first one: Config, Admin, Timeout (of a drain), Data, Unbound
	KindListened Kind = "listened" // Error, or one file
	KindReported Kind = "reported" // the report with that ID was taken, or Error says why not
	KindUnbind   Kind = "unbind"   // close the sockets, and ask for them again when activated
	KindProve    Kind = "prove"    // Data: what to prove, still gated; the answer is KindProved
	KindProbe    Kind = "probe"    // Data: how to find out whether it serves well; the answer is KindProbed
	KindActivate Kind = "activate" // accept connections
	KindPackets  Kind = "packets"  // read datagram sockets, too
	KindDrain    Kind = "drain"    // replaced: finish what is in progress within Timeout
	KindStop     Kind = "stop"     // Mode: immediate or force
	KindTell     Kind = "tell"     // Topic, Data: for the child's user
)

// Message is one line of JSON on the control connection. Files travel beside it.
type Message struct {
	Kind    Kind            `json:"kind"`
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
	Unbound bool            `json:"unbound,omitempty"`
	Files   int             `json:"files,omitempty"`

	files []int // those that came with it
}

func decodeMessage(line []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(line, &m); err != nil {
		return Message{}, fmt.Errorf("decoding control message: %w: %w", ErrUnreadable, err)
	}
	return m, nil
}
