// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package supervisor

// awaitAccept cannot see a listening socket's queue on this system.
func (s *Supervisor) awaitAccept(*process, string, string) bool { return false }
