// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package proxytest has what tests of several rooms need around pools and proxies:
// addresses where nothing listens, pools without a handler, and waiting for what
// nothing tells of.
//
// It starts no proxy: that is for the room of the policy to do.
package proxytest
