// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package parlance

import "net/netip"

// Topics of what a child and its parent say to each other.
const (
	TopicParent = "parent" // ParentState: the parent's, to its children
	TopicPlan   = "plan"   // which pools there are: a piece of poolstate's
	TopicPool   = "pool"   // what is worth keeping of one pool, without moved clients: likewise
	TopicMoved  = "moved"  // a part of the clients that were moved in one pool: likewise
	TopicPlain  = "plain"  // the sockets on which a child speaks plain HTTP/1
	TopicEvent  = "event"  // something happened to a pool of the child
	TopicDoubt  = "doubt"  // a request may have been executed without an answer
	TopicCut    = "cut"    // likewise all those that the end of the process cut off
)

// What a child connects to its parent for, and the handler that makes it do so.
const (
	ConnectConsole = "console"
	ConsoleHandler = "broker_console"
)

// AdminDirPrefix begins the name of every directory of private admin sockets.
const AdminDirPrefix = "caddy-broker-"

// NetworkState is what processes that serve know of the network of brokers.
type NetworkState struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"` // our own
	Members   []string `json:"members"`   // names of the others
	Peers     []string `json:"peers"`     // what clients hear of besides our own
	All       []string `json:"all"`       // never to be added to a pool
	Rebalance uint64   `json:"rebalance"` // grows when clients shall be spread again
	Refused   uint64   `json:"refused"`
}

// ParentState is what a child is told.
type ParentState struct {
	Network *NetworkState    `json:"network,omitempty"`
	Listens []netip.AddrPort `json:"listens,omitempty"`
}

// ChildData is what a new process starts with.
type ChildData struct {
	Parent ParentState `json:"parent"`
}

// How balancers announce addresses to their clients.
const (
	PathURIs   = "/.well-known/broker-uris"
	TypeURIs   = "text/broker-uris"
	TypeEvents = "text/event-stream"
)
