// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"strings"
)

// Unknown is the error of a name that is none of known: the nearest one first,
// then all of them. What is the word for such a name: "option", "command".
func Unknown(what, name string, known []string) error {
	return fmt.Errorf("unknown %s %s: %s%s", what, Quote(name), DidYouMean(Nearest(name, known)), Allowed(known))
}

// Allowed lists names in an error.
func Allowed(names []string) string { return "allowed are " + strings.Join(names, ", ") }

// DidYouMean asks whether a name was meant; it is empty for an empty name.
func DidYouMean(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + name + "? "
}

// Nearest returns the name that a misspelt one most likely means, or nothing
// where none is near: case and separators aside, at most one mistake in three
// letters and three in all, or the only one that begins so.
func Nearest(name string, known []string) string {
	folded := Fold(name)
	most := min(max(1, len(folded)/3), 3)
	best := ""
	for _, k := range known {
		if d := distance(folded, Fold(k), most); d <= most {
			best, most = k, d-1
		}
	}
	if best != "" || len(folded) < 3 {
		return best
	}
	for _, k := range known {
		if !strings.HasPrefix(Fold(k), folded) {
			continue
		}
		if best != "" {
			return ""
		}
		best = k
	}
	return best
}

// Fold is a name without case and separators.
func Fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
}

// distance is how many letters are to be inserted, removed, replaced or swapped
// with their neighbour to make b of a; above most it is some number above most.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
