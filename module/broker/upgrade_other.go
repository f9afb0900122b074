// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package broker

// heedSignal has no signal to heed on this system.
func heedSignal() {}
