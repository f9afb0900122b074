// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"slices"
	"strings"
)

// Caddy takes the members `@id` out of every configuration that it loads, and wants
// each id to be there once. So the user's configuration, as a part of the parent's, has
// them as `@@id`, what was called so before as `@@@id`, and so on; copies of parts of
// it have none.

// escapedIDs is how often a key is escaped: 1 for an id, 2 for one that was escaped
// once; 0 for all other keys.
func escapedIDs(key string) int {
	rest := strings.TrimLeft(key, "@")
	if rest != "id" {
		return 0
	}
	return len(key) - len(rest)
}

// UnescapeIDs is what [EscapeIDs] was applied to.
func UnescapeIDs(value any) any {
	return renamed(value, func(key string) (string, bool) {
		if escapedIDs(key) > 1 {
			key = key[1:]
		}
		return key, true
	})
}

// WithoutIDs is a decoded configuration without ids.
func WithoutIDs(value any) any {
	return renamed(value, func(key string) (string, bool) { return key, key != IDKey })
}

// renamed is value with other keys, or without some. Where there are no ids in it, it
// is value itself.
func renamed(value any, name func(key string) (string, bool)) any {
	if !hasIDs(value) {
		return value
	}
	return rebuilt(value, name)
}

// hasIDs reports whether there is an id in value, escaped or not.
func hasIDs(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if escapedIDs(key) > 0 || hasIDs(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, hasIDs)
	}
	return false
}

func rebuilt(value any, name func(key string) (string, bool)) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for key, v := range value {
			if key, keep := name(key); keep {
				out[key] = rebuilt(v, name)
			}
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, v := range value {
			out[i] = rebuilt(v, name)
		}
		return out
	}
	return value
}
