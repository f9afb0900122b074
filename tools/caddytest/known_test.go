// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

func TestKnownAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Caddy's own tests\n")
	for _, k := range known {
		if name := strings.TrimSuffix(k.Case, "/*"); !strings.Contains(section, "`"+name+"`") {
			t.Errorf("docs/compatibility.md does not name %s", name)
		}
		if k.Reason == "" || k.Text == "" {
			t.Errorf("%s has no reason, or any failure of it would be taken for the known one", k.Case)
		}
	}
}
