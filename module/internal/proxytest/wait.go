// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxytest

import (
	"os"
	"testing"
	"time"
)

// Eventually waits for a condition that nothing tells of.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if <-tick.C; time.Now().After(deadline) {
			tb.Fatalf("timed out waiting until %s", what)
		}
	}
}

// LogLevel is the level of a test's log, nothing unless TEST_LOG asks for more.
func LogLevel() string {
	if l := os.Getenv("TEST_LOG"); l != "" {
		return l
	}
	return "PANIC"
}
