// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package sockets

import (
	"errors"
	"fmt"
	"net"
)

// Pair does not exist on this system.
func Pair() (ours net.Conn, theirs int, err error) {
	return nil, -1, fmt.Errorf("making a pair of sockets: %w", errors.ErrUnsupported)
}
