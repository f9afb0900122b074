// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package generations remembers the configurations that have served, by whom and when they
// were loaded, and which ones were found not to serve well.
//
// Its guarantee: what is on disk is one whole list, never a part of one, and what cannot be
// read or written costs one complaint and nothing else. What is shown to people has no
// secrets. It loads nothing.
package generations
