// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package sockets

import (
	"context"
	"errors"
	"net"
)

// openSocket passes no sockets on this system: a child opens its own.
func openSocket(context.Context, socketKey, int, uint32) (*socket, error) {
	return nil, errors.ErrUnsupported
}

func keepFromChildren() {}

func wantStored() {}

// DropStored has nothing to close: nothing is stored on this system.
func DropStored() []string { return nil }

func (s *socket) dup() (int, error) { return -1, errors.ErrUnsupported }

func (s *socket) close() {}

// Listener has nothing to offer on this system.
func (h *Holder) Listener(string, string) (net.Listener, bool) { return nil, false }

// CloseFD has nothing to close: nothing is lent on this system.
func CloseFD(int) {}
