// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package plain makes text of others fit for a terminal, a log or a page.
//
// What a child, a backend or a certificate says is in errors and names. It may be very
// long, and it may hold what a terminal obeys: it could hide a line or write another one.
// What this package returns has a bounded length, is valid UTF-8, and every rune of it
// can be seen. It knows nothing of markup: a page still has to escape it.
package plain

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut ends a text of which something is missing.
const cut = "..."

// Line is text in one line of at most limit bytes and the mark that something is
// missing. What ends a line, or cannot be seen, is replaced.
func Line(text string, limit int) string { return clean(text, limit, seen) }

// Text is Line that keeps ends of lines and tabs.
func Text(text string, limit int) string {
	return clean(text, limit, func(r rune) bool { return r == '\n' || r == '\t' || seen(r) })
}

// seen reports whether a rune can be seen, or is a blank.
func seen(r rune) bool { return r != unicode.ReplacementChar && unicode.IsPrint(r) }

func clean(text string, limit int, keep func(rune) bool) string {
	missing := len(text) > limit
	if missing {
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit]
	}
	if !isPlain(text, keep) {
		text = replaced(text, limit, keep)
	}
	if missing {
		text += cut
	}
	return text
}

func isPlain(text string, keep func(rune) bool) bool {
	for _, r := range text {
		if !keep(r) {
			return false
		}
	}
	return true
}

// replaced is text with a mark of one byte for each rune that is not to be kept, so
// that it becomes no longer.
func replaced(text string, limit int, keep func(rune) bool) string {
	var out strings.Builder
	out.Grow(min(len(text), limit))
	for _, r := range text {
		switch {
		case keep(r):
			out.WriteRune(r)
		case r == '\n' || r == '\r' || r == '\t':
			out.WriteByte(' ')
		default:
			out.WriteByte('?')
		}
	}
	return out.String()
}

// JSON is a text of JSON in which every rune can be seen: inside of its strings the
// others are written as escapes.
func JSON(text []byte) []byte {
	if isPlain(string(text), func(r rune) bool { return r < utf8.RuneSelf && r != 0x7f || seen(r) }) {
		return text
	}
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r < utf8.RuneSelf && r != 0x7f || seen(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16Pair(r)
			out = appendEscape(appendEscape(out, high), low)
		default:
			out = appendEscape(out, r)
		}
	}
	return out
}

func utf16Pair(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

func appendEscape(out []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
