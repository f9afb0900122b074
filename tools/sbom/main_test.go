// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"runtime"
	"testing"
)

// A program that is at hand is this test.
func TestList(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := list(self, "v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(out, &doc); err != nil {
		t.Fatal(err)
	}
	const own = "pkg:golang/github.com/caddy-broker/caddy-broker/tools@v1.2.3"
	if got := doc.Metadata.Component.URL; got != own {
		t.Errorf("the program is %q, want %q", got, own)
	}
	if got := doc.Components[0].URL; got != "pkg:golang/std@"+runtime.Version() {
		t.Errorf("first component: %q, want the standard library", got)
	}
	if _, err := list("main.go", "v1.2.3"); err == nil {
		t.Error("a file that is no program was listed")
	}
}
