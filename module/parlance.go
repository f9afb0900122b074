// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import "net/netip"

// Topics of what a child and its parent say to each other.
const (
	topicParent = "parent" // ParentState: the parent's, to its children
	topicPools  = "pools"  // what is worth keeping of all pools, whole
	topicPlain  = "plain"  // the sockets on which a child speaks plain HTTP/1
	topicEvent  = "event"  // something happened to a pool of the child
	topicDoubt  = "doubt"  // a request may have been executed without an answer
	topicCut    = "cut"    // likewise all those that the end of the process cut off
)

// adminDirPrefix begins the name of every directory of private admin sockets.
const adminDirPrefix = "caddy-broker-"

// networkState is what those who serve know of the network of brokers.
type networkState struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"` // our own
	Members   []string `json:"members"`   // names of the others
	Peers     []string `json:"peers"`     // what clients hear of besides our own
	All       []string `json:"all"`       // never to be added to a pool
	Rebalance uint64   `json:"rebalance"` // grows when clients shall be spread again
	Refused   uint64   `json:"refused"`
}

// parentState is what a child is told.
type parentState struct {
	Network *networkState    `json:"network,omitempty"`
	Listens []netip.AddrPort `json:"listens,omitempty"`
}

// childData is what a new process starts with.
type childData struct {
	Parent parentState `json:"parent"`
}

// How balancers announce addresses to their clients.
const (
	pathURIs   = "/.well-known/broker-uris"
	typeURIs   = "text/broker-uris"
	typeEvents = "text/event-stream"
)
