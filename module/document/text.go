// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import "bytes"

// What follows works on the text of documents, as [encoding/json.Marshal] writes it:
// without blanks. Of a large configuration a walk through the text costs a hundredth of
// one through the tree with an encoding at its end.

const idEnd = `id":`

// EscapeIDs is a text in which the members `@id` of all objects are called `@@id`, what is
// called so `@@@id`, and so on. Caddy takes `@id` out of what it loads.
func EscapeIDs(text []byte) []byte {
	var out []byte
	from := 0
	eachID(text, func(start, _ int) int {
		out = append(append(out, text[from:start+1]...), '@')
		from = start + 1
		return start + 1
	})
	if from == 0 {
		return text
	}
	return append(out, text[from:]...)
}

// DropIDs is a text without the members `@id` of all objects.
func DropIDs(text []byte) []byte {
	var out []byte
	from := 0
	eachID(text, func(start, ats int) int {
		if ats > 1 {
			return start + 1
		}
		end := skipValue(text, start+len(`"@`)+len(idEnd))
		out = append(out, text[from:start]...)
		switch {
		case text[end] == ',':
			end++
		case out[len(out)-1] == ',':
			out = out[:len(out)-1]
		}
		from = end
		return end
	})
	if from == 0 {
		return text
	}
	return append(out, text[from:]...)
}

// Without is the text of an object without the member at a path of keys.
func Without(text []byte, path ...string) []byte {
	start, end, ok := findMember(text, 0, path)
	if !ok {
		return text
	}
	switch {
	case text[end] == ',':
		end++
	case text[start-1] == ',':
		start--
	}
	return append(append(make([]byte, 0, len(text)), text[:start]...), text[end:]...)
}

// eachID calls f for every key that is an id, escaped or not, with where it starts and
// how many @ it has. f returns where to go on.
func eachID(text []byte, f func(start, ats int) int) {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(idEnd))
		if i < 0 {
			return
		}
		i += at
		start := i
		for start > at && text[start-1] == '@' {
			start--
		}
		ats := i - start
		start-- // the quote
		if ats == 0 || start < 1 || text[start] != '"' || text[start-1] != '{' && text[start-1] != ',' {
			at = i + len(idEnd)
			continue
		}
		at = max(f(start, ats), i+len(idEnd))
	}
}

// findMember finds the member at a path below the object that begins at i: from its key
// to the end of its value.
func findMember(text []byte, i int, path []string) (start, end int, ok bool) {
	if len(path) == 0 || i >= len(text) || text[i] != '{' {
		return 0, 0, false
	}
	for i++; i < len(text) && text[i] == '"'; {
		start = i
		value := skipValue(text, start) + 1 // the colon
		end = skipValue(text, value)
		if string(text[start+1:value-2]) == path[0] {
			if len(path) == 1 {
				return start, end, true
			}
			return findMember(text, value, path[1:])
		}
		if i = end; i < len(text) && text[i] == ',' {
			i++
		}
	}
	return 0, 0, false
}

// skipValue is where the value that begins at i ends.
func skipValue(text []byte, i int) int {
	switch text[i] {
	case '"':
		return skipString(text, i)
	case '{', '[':
	default: // a number, or a word
		for i < len(text) && text[i] != ',' && text[i] != ']' && text[i] != '}' {
			i++
		}
		return i
	}
	for depth := 0; ; {
		switch text[i] {
		case '"':
			i = skipString(text, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i++; depth == 0 {
			return i
		}
	}
}

func skipString(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}
