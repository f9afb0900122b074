// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package sockets

import "context"

// Available knows nothing on this system, where a socket that listens cannot be shared
// afterwards.
func Available(context.Context, string, string) error { return nil }
