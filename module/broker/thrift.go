// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"os"
	"runtime/debug"
)

// thriftyPercent is how much garbage a parent lets gather, in percent of what it uses.
// It works little and lives long, and most of what it keeps for its children has no
// pointers: collecting early costs it nothing that could be noticed, and keeps its
// memory at what it has to know.
const thriftyPercent = 25

// thrift makes this process collect its garbage early as long as it supervises and
// does nothing else. It is guarded by hostState.turn.
type thrift struct {
	on     bool
	before int // the percentage without it
}

// set begins or ends it. A value that the user gave holds.
func (t *thrift) set(on bool) {
	if _, given := os.LookupEnv("GOGC"); given || on == t.on {
		return
	}
	t.on = on
	if on {
		t.before = debug.SetGCPercent(thriftyPercent)
		// What starting took is given back to the system.
		debug.FreeOSMemory()
		return
	}
	debug.SetGCPercent(t.before)
}
