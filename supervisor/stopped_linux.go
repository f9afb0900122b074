// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"strconv"
	"strings"
)

// isStopped reports whether a child of this process does nothing because a signal has
// stopped it. One that is only late runs, waits for a processor or for a disk, or sleeps, and
// one that a debugger holds is in another state.
func isStopped(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	stopped, ours := false, false
	for line := range strings.Lines(string(text)) {
		switch name, value, _ := strings.Cut(line, ":"); name {
		case "State":
			stopped = strings.HasPrefix(strings.TrimSpace(value), "T ")
		case "PPid": // where /proc counts processes in another way, another one has the number
			ours = strings.TrimSpace(value) == strconv.Itoa(os.Getpid())
		}
	}
	return stopped && ours
}
