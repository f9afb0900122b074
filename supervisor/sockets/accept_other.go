// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package sockets

import "context"

// AwaitAccept returns false: this system does not show a listening socket's queue.
func (h *Holder) AwaitAccept(context.Context, int, string, string) bool { return false }
