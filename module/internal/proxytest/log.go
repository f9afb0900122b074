// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxytest

import "os"

// LogLevel is the level of a test's log, nothing unless TEST_LOG asks for more.
func LogLevel() string {
	if l := os.Getenv("TEST_LOG"); l != "" {
		return l
	}
	return "PANIC"
}
