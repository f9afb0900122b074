// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
)

// maxText bounds a text of strangers in a line of the page, in bytes.
const maxText = 600

// short is such a text.
func short(v any) string { return plain.Line(fmt.Sprint(v), maxText) }

// told is an event in words.
type told struct {
	history.Event

	Level, Text string
}

// tell puts an event into words: its own, which the log has too.
func tell(e history.Event) told {
	t := told{Event: e, Level: "info"}
	if severity, _ := e.Data["severity"].(string); severity == "error" || severity == "warn" {
		t.Level = severity
	}
	if text, _ := e.Data["summary"].(string); text != "" {
		t.Text = short(text)
		return t
	}
	var parts []string
	for name, v := range e.Data {
		if name != "severity" {
			parts = append(parts, fmt.Sprintf("%s %v", name, v))
		}
	}
	slices.Sort(parts)
	t.Text = short(strings.ReplaceAll(e.Name, "_", " ") + ": " + strings.Join(parts, ", "))
	return t
}
