// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// namesIn are what a page calls by the names of metrics and events.
var namesIn = regexp.MustCompile("`(caddy_[a-z_]+|(?:broker_child|broker_standby|broker_reload|failover)_[a-z_]+)")

// TestTroubleshootingNamesWhatThereIs: the page tells of no metric and no event that the
// code does not have.
func TestTroubleshootingNamesWhatThereIs(t *testing.T) {
	const page = "docs/troubleshooting.md"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	s := readSource(t)
	events := s.events()
	found := namesIn.FindAllSubmatch(data, -1)
	if len(found) < 20 {
		t.Fatalf("%s names only %d", page, len(found))
	}
	for _, m := range found {
		name := string(m[1])
		if events[name] == nil && !slices.ContainsFunc(s.metrics(), func(m metric) bool { return m.name == name }) {
			t.Errorf("%s names %s, which is neither a metric nor an event", page, name)
		}
	}
}
