// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"maps"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// confirmedFor is how long an address stays that is down and that no source has
// confirmed.
const confirmedFor = 10 * time.Minute

// Membership holds what the sources of one pool say of its addresses: for each
// source its last list. It is plain state; its owner carries out what it says,
// and calls it from one goroutine.
type Membership struct {
	sources map[string]*source
	last    map[string]time.Time // when an address was last confirmed, by key
}

type source struct {
	list    []address.URI
	trusted bool // the operator's word: not filtered
}

// New returns a Membership without sources.
func New() *Membership {
	return &Membership{sources: make(map[string]*source), last: make(map[string]time.Time)}
}

// Set replaces the list of a source, and confirms it.
func (s *Membership) Set(name string, list []address.URI, trusted bool, now time.Time) {
	s.sources[name] = &source{list, trusted}
	s.Confirm(name, now)
	if len(s.last) <= 2*maxSaid {
		return
	}
	// Sources that name others each time leave nothing behind.
	named := make(map[string]bool)
	for _, src := range s.sources {
		for _, u := range src.list {
			named[u.Key()] = true
		}
	}
	maps.DeleteFunc(s.last, func(key string, _ time.Time) bool { return !named[key] })
}

// Confirm notes that a source still says what it said.
func (s *Membership) Confirm(name string, now time.Time) {
	src := s.sources[name]
	if src == nil {
		return
	}
	for _, u := range src.list {
		s.last[u.Key()] = now
	}
}

// Drop forgets a source and all it said.
func (s *Membership) Drop(name string) { delete(s.sources, name) }

// List is what a source said last.
func (s *Membership) List(name string) []address.URI {
	if src := s.sources[name]; src != nil {
		return src.list
	}
	return nil
}

// Trusted reports whether what a source said last is the operator's word.
func (s *Membership) Trusted(name string) bool {
	src := s.sources[name]
	return src != nil && src.trusted
}

// Same reports whether a source said the same addresses before, in any order, and
// was trusted as it is now.
func (s *Membership) Same(name string, list []address.URI, trusted bool) bool {
	src := s.sources[name]
	if src == nil || src.trusted != trusted || len(src.list) != len(list) {
		return false
	}
	known := make(map[string]bool, len(list))
	for _, u := range src.list {
		known[u.String()] = true
	}
	return !slices.ContainsFunc(list, func(u address.URI) bool { return !known[u.String()] })
}

// Named are all addresses that sources name, the operator's first, and then in
// the order of the sources' names. What a backend says of itself does not count: it
// is asked because it is a member, and would stay one for ever after all others
// have told that it left.
func (s *Membership) Named() []Named {
	var all []Named
	seen := make(map[string]bool)
	names := s.Sources()
	for _, trusted := range []bool{true, false} {
		for _, name := range names {
			src := s.sources[name]
			if src.trusted != trusted {
				continue
			}
			for _, u := range src.list {
				if key := u.Key(); !seen[key] && key != name {
					seen[key] = true
					all = append(all, Named{URI: u, Trusted: trusted})
				}
			}
		}
	}
	return all
}

// Named is an address that a source names.
type Named struct {
	URI address.URI
	// Trusted tells that the operator himself named it: it is not checked.
	Trusted bool
}

// Forget are those of the given addresses, which are down, that no source has
// confirmed for long enough. Sources lose them, too, so that they come back
// only when one names them anew.
func (s *Membership) Forget(down []address.URI, now time.Time) (gone []address.URI) {
	for _, u := range down {
		last, ok := s.last[u.Key()]
		if !ok {
			s.last[u.Key()] = now
			continue
		}
		if now.Sub(last) < confirmedFor {
			continue
		}
		gone = append(gone, u)
		delete(s.last, u.Key())
		for _, src := range s.sources {
			src.list = slices.DeleteFunc(slices.Clone(src.list), func(o address.URI) bool { return o.Key() == u.Key() })
		}
	}
	return gone
}

// Settle forgets the sources that do not speak any more because they are no
// members now, except for what they alone name: an address is not lost with the
// backend that told of it.
func (s *Membership) Settle(speaks func(name string) bool) {
	named := make(map[string]bool)
	var silent []string
	for _, name := range s.Sources() {
		if !speaks(name) {
			silent = append(silent, name)
			continue
		}
		for _, u := range s.sources[name].list {
			if key := u.Key(); key != name {
				named[key] = true
			}
		}
	}
	for _, name := range silent {
		src := s.sources[name]
		src.list = slices.DeleteFunc(slices.Clone(src.list), func(u address.URI) bool {
			key := u.Key()
			known := named[key] || key == name
			named[key] = true
			return known
		})
		if len(src.list) == 0 {
			delete(s.sources, name)
		}
	}
}

// maxSaid bounds what is kept of all sources of a pool together.
const maxSaid = 16 * address.MaxListAddresses

// Full reports whether the sources of the pool say more than is kept.
func (s *Membership) Full() bool {
	n := 0
	for _, src := range s.sources {
		n += len(src.list)
	}
	return n > maxSaid
}

// SourceSnapshot is what one source said last.
type SourceSnapshot struct {
	URIs    []string `json:"uris"`
	Trusted bool     `json:"trusted,omitempty"`
}

// Snapshot returns what each source said last, for Restore in a later process.
func (s *Membership) Snapshot() map[string]SourceSnapshot {
	all := make(map[string]SourceSnapshot, len(s.sources))
	for name, src := range s.sources {
		kept := SourceSnapshot{Trusted: src.trusted}
		for _, u := range src.list {
			kept.URIs = append(kept.URIs, u.String())
		}
		all[name] = kept
	}
	return all
}

// Restore returns a Membership with what an earlier process was told. Its
// addresses count as confirmed when they are first looked at.
func Restore(said map[string]SourceSnapshot) *Membership {
	s := New()
	for name, kept := range said {
		src := &source{trusted: kept.Trusted}
		for _, text := range kept.URIs {
			if u, err := address.ParseURI(text); err == nil {
				src.list = append(src.list, u)
			}
		}
		s.sources[name] = src
	}
	return s
}

// Sources are the names of all sources, in order.
func (s *Membership) Sources() []string {
	names := make([]string, 0, len(s.sources))
	for name := range s.sources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
