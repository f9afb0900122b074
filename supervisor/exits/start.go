// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package exits

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// StartError says that a child ended, or was ended, before it was ready.
type StartError struct {
	Child string
	Exit  Exit
	// Cause is what the child said, or why it was ended.
	Cause string
}

func (e *StartError) Error() string {
	how := fmt.Sprintf("exit code %d", e.Exit.Code)
	if e.Exit.Signal != "" {
		how = e.Exit.Signal
	}
	msg := fmt.Sprintf("starting child %q: %s (%s)", e.Child, cmp.Or(e.Cause, "ended before it was ready"), how)
	if last := e.lastLines(); last != "" {
		msg += ": " + last
	}
	return msg
}

// lastLines are the child's own last lines. Not among them are the goroutines that
// Go dumps when the child is aborted, and a line that repeats the cause.
func (e *StartError) lastLines() string {
	text, _, _ := strings.Cut("\n"+e.Exit.Stderr, "\nSIGABRT:")
	if e.Cause != "" {
		lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.Contains(l, e.Cause) })
		text = strings.Join(lines, "\n")
	}
	return plain.Text(plainLines(LastLines(text, 3)), MaxReason)
}

// plainLines are lines of a log as a user reads them inside another message: of one
// that is JSON, what it says and its error.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		var entry struct{ Msg, Error string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg == "" {
			continue
		}
		lines[i] = entry.Msg
		if entry.Error != "" {
			lines[i] += ": " + entry.Error
		}
	}
	return strings.Join(lines, "\n")
}
