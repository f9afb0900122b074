// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// WhyCut is why a process ended, as a reason for which a request is in doubt.
func WhyCut(exit *exits.Exit) string {
	how := exit.Signal
	if exit.Fault != "" {
		how = exit.Fault
	}
	text := map[string]string{
		"crash": "the process crashed", "hang": "the process hung and was ended", "oom": "the process was ended because memory ran out",
		"killed": "the process was killed", "start_failure": "the process ended before it was ready",
		"stop": "the process was stopped", "replace": "the process was replaced",
		"recycled": "the process was replaced because it had too much memory",
	}[exit.Reason]
	text = cmp.Or(text, "the process ended ("+exit.Reason+")")
	if how != "" {
		text += ": " + how
	}
	return text
}
