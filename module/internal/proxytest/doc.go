// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package proxytest has what tests of several rooms need around pools and proxies:
// addresses where nothing listens, and pools without a handler.
//
// It starts no proxy: that is for the room of the policy to do.
package proxytest
