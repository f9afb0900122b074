// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package announce is the handler broker_uris: it tells the clients of a balancer
// where it and its peers are.
//
// Its guarantee: a client hears of every change, and no stream holds up the end of
// a configuration or of a process. It knows only what the network of brokers and
// its own configuration say; it looks for no other broker.
package announce
