// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"unicode/utf8"
)

// width is how many columns everything that is drawn keeps to.
const width = 80

// wrapped is a text in lines of at most [width] columns, broken between words where that
// is possible. The first line begins with first, the others with as many blanks as rest.
func wrapped(first string, rest int, text string) string {
	var out strings.Builder
	out.WriteString(first)
	column, empty := utf8.RuneCountInString(first), true
	next := func() {
		out.WriteString("\n" + strings.Repeat(" ", rest))
		column, empty = rest, true
	}
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if !empty && column+1+n > width {
			next()
		} else if !empty {
			out.WriteByte(' ')
			column++
		}
		for ; column+n > width; n = utf8.RuneCountInString(word) { // longer than a line
			runes := []rune(word)
			out.WriteString(string(runes[:width-column]))
			word = string(runes[width-column:])
			next()
		}
		out.WriteString(word)
		column, empty = column+n, false
	}
	out.WriteByte('\n')
	return out.String()
}
