// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

// Snapshot is what the operator and experience taught a pool: what a new
// process starts from. It is for encoding/json.
type Snapshot struct {
	// Reached says that a backend has answered at some time.
	Reached bool `json:"reached,omitempty"`
	// Failover is the target of a manual failover, Current where all clients are
	// with affinity pool.
	Failover string `json:"failover,omitempty"`
	Current  string `json:"current,omitempty"`
	// Added and Removed are the operator's. What is drained belongs to addresses, in
	// whatever pool they are: see SetDrained.
	Added []address.URI `json:"added,omitempty"`
	// Dynamic are those that only the dynamic source named.
	Dynamic []address.URI `json:"dynamic,omitempty"`
	// Sources have what other sources of addresses said last.
	Sources map[string]membership.SourceSnapshot `json:"sources,omitempty"`
	// Unproved are those of Added, Dynamic and Sources that have never answered.
	Unproved []string      `json:"unproved,omitempty"`
	Removed  []address.URI `json:"removed,omitempty"`
	// Down are the members that are down, or came back and have yet to prove it.
	Down []DownSnapshot `json:"down,omitempty"`
	// Back are the members that serve and do not call their clients home.
	Back []BackSnapshot `json:"back,omitempty"`
	// Moved has for each member the keys of the clients that were moved to it,
	// eight bytes each.
	Moved map[string][]byte `json:"moved,omitempty"`
}

// Joined are the names of the addresses that became members at run time.
func (s Snapshot) Joined() (names []string) {
	for _, u := range slices.Concat(s.Added, s.Dynamic) {
		names = append(names, u.Name())
	}
	for _, n := range membership.Restore(s.Sources).Named() {
		names = append(names, n.URI.Name())
	}
	return names
}

// DownSnapshot is one member that is down.
type DownSnapshot struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Error string    `json:"error,omitempty"`
	// Back says that it was told as back, and has yet to answer a request.
	Back bool `json:"back,omitempty"`
}

// BackSnapshot is one member whose clients stay where they were moved to.
type BackSnapshot struct {
	Name string `json:"name"`
	// Since is when it came back; zero when it never was down.
	Since time.Time `json:"since,omitzero"`
	// SentTo is where it asked its clients to go, if it did.
	SentTo string `json:"sent_to,omitempty"`
}
