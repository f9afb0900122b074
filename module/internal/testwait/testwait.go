// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package testwait lets tests wait until something is so.
//
// Its guarantee: a test ends soon after it is so, and fails with the text of what
// it waited for if it is not so after a time that no test needs. It is for what
// nothing announces; where there is an event, wait for that. Only tests use it.
package testwait

import (
	"testing"
	"time"
)

// Until returns once ok returns true, and ends the test after ten seconds.
func Until(tb testing.TB, what string, ok func() bool) {
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
