// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// digestLength is how many digits of a digest a name has, more where they would
// not do.
const digestLength = 6

// SetNames gives those of a configuration's pools that would have the same name a
// digest of their list. Where lists are equal too, the digest is of everything. Names
// that are fixed stay. Nothing depends on the order of the pools.
func SetNames(ids []Identity, fixed []bool) {
	alike := make(map[string]int)
	lists := make(map[string]int)
	list := func(id Identity) string { return id.Name + "\n" + strings.Join(id.Addresses, "\n") }
	for i, id := range ids {
		alike[id.Name]++
		if !fixed[i] {
			lists[list(id)]++
		}
	}
	long := make([]string, len(ids)) // the digest, where the name needs it
	for i, id := range ids {
		switch {
		case fixed[i] || alike[id.Name] == 1:
		case lists[list(id)] == 1:
			long[i] = Digest(list(id))
		default:
			long[i] = id.Digest
		}
	}
	for length := digestLength; ; length += 2 {
		names := make(map[string]bool, len(ids))
		name := func(i int) string {
			if long[i] == "" {
				return ids[i].Name
			}
			return ids[i].Name + "-" + long[i][:min(length, len(long[i]))]
		}
		for i := range ids {
			names[name(i)] = true
		}
		if len(names) < len(ids) && length < sha256.Size*2 {
			continue
		}
		for i := range ids {
			ids[i].Name = name(i)
		}
		return
	}
}

// Digest is a short name for a text, the same in every process.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
