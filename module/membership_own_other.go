// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin && !freebsd

package module

import "net/netip"

// listeningSockets is not known on this system.
func listeningSockets() ([]netip.AddrPort, bool) { return nil, false }
