// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package supervisor

// isStopped reports false: it is not asked for on this system.
func isStopped(int) bool { return false }
