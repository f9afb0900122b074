// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"strings"
	"testing"
)

// Any process that can reach the socket may send notifications.
func FuzzNotifications(f *testing.F) {
	f.Add("READY=1")
	f.Add("STATUS=x\nREADY=1\nWATCHDOG=1\nWATCHDOG=trigger\n")
	f.Add("READY=1\x00\nREADY=0\r\nREADY=1 ")
	f.Fuzz(func(t *testing.T, text string) {
		var ready, beats, hung int
		for line := range strings.SplitSeq(text, "\n") {
			switch line {
			case "READY=1":
				ready++
			case "WATCHDOG=1":
				beats++
			case "WATCHDOG=trigger":
				hung++
			}
		}
		for _, in := range notifications(7, text) {
			switch in := in.(type) {
			case inReady:
				ready--
			case inBeat:
				beats--
			case inHung:
				hung--
			default:
				t.Fatalf("%q means %+v", text, in)
			}
		}
		if ready != 0 || beats != 0 || hung != 0 {
			t.Fatalf("%q: %d, %d, %d not understood", text, ready, beats, hung)
		}
	})
}
