// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package lockorder

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestOrderHasNoCircle(t *testing.T) {
	for _, chain := range Order {
		for _, class := range chain {
			if follows(Order, class, class) {
				t.Errorf("%s may be taken while it is held: the list leads in a circle", class)
			}
		}
	}
}

func TestFollows(t *testing.T) {
	order := [][]string{{"a", "b", "c"}, {"c", "d"}, {"a", "e"}}
	for held, want := range map[string]string{"a": "bcde", "b": "cd", "c": "d", "d": "", "e": "", "other": ""} {
		for _, next := range []string{"a", "b", "c", "d", "e", "other"} {
			if got := follows(order, held, next); got != strings.Contains(want, next) {
				t.Errorf("while %s is held, %s may be taken: %v", held, next, got)
			}
		}
	}
}

// The page that people read has the list that tests follow.
func TestArchitectureHasTheOrder(t *testing.T) {
	page, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Lock order\n")
	_, block, _ := strings.Cut(section, "```\n")
	block, _, _ = strings.Cut(block, "```")
	var want []string
	for _, chain := range Order {
		want = append(want, strings.Join(chain, " → "))
	}
	if got := strings.Split(strings.TrimSpace(block), "\n"); !slices.Equal(got, want) {
		t.Errorf("ARCHITECTURE.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
