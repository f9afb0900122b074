// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin && !freebsd

package socket

import "net/netip"

// Listening is not known on this system.
func Listening() ([]netip.AddrPort, bool) { return nil, false }
