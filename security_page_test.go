// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"bytes"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const securityPage = "docs/security.md"

// takesInput matches where something is read from others, or put into a queue.
var takesInput = regexp.MustCompile(`\.Accept\(\)|\bio\.(ReadAll|ReadFull)\(|io\.Copy\(&|json\.NewDecoder\(|bufio\.New(Scanner|Reader)\(|ReadMsgUnix\(|[cC]onn\.Read\(|unix\.Read\(|os\.ReadFile\(|http\.Server\{|memberlist\.Create\(|append\(\w+\.(queue|waiting),`)

// inParent are the packages whose code runs in the parent.
var inParent = []string{"supervisor", "module/broker", "module/cluster", "module/sources", "module/announce", "module/admin", "module/command", "module/document", "module/internal/statefile"}

func TestSecurityPageHasEveryInput(t *testing.T) {
	page, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range readGoFiles(t) {
		parent := slices.ContainsFunc(inParent, func(dir string) bool { return f.dir() == dir || strings.HasPrefix(f.dir(), dir+"/") })
		if parent && !f.test() && takesInput.Match(f.src) && !bytes.Contains(page, []byte(path.Base(f.path))) {
			t.Errorf("%s takes input that %s does not name", f.path, securityPage)
		}
	}
}

func TestSecurityPageNamesTests(t *testing.T) {
	page, err := os.ReadFile(securityPage)
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	for _, f := range readGoFiles(t) {
		if f.test() {
			tests = append(tests, f.src...)
		}
	}
	for _, name := range regexp.MustCompile("`((Test|Fuzz)\\w+)`").FindAllSubmatch(page, -1) {
		if !bytes.Contains(tests, []byte("func "+string(name[1])+"(")) {
			t.Errorf("%s names %s, which is not there", securityPage, name[1])
		}
	}
}
