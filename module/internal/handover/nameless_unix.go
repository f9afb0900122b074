// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package handover

import "os"

// nameless makes a file that only this user can read, and that has no name any more.
func nameless() (*os.File, error) {
	file, err := os.CreateTemp("", "caddy-broker-handover")
	if err != nil {
		return nil, err
	}
	return file, os.Remove(file.Name())
}
