// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package poolstate

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// TestDrains: what is decided for one pool wins over what is for all, until the
// next word for all.
func TestDrains(t *testing.T) {
	type word struct {
		pool, address string
		drained       bool
	}
	for _, tc := range []struct {
		name  string
		words []word
		all   string // drained in a pool without a name
		named string // drained in the pool "n"
	}{
		{"nothing", nil, "", ""},
		{"for all", []word{{"", "a", true}}, "a", "a"},
		{"for one", []word{{"n", "a", true}}, "", "a"},
		{"for another", []word{{"m", "a", true}}, "", ""},
		{"for all but one", []word{{"", "a", true}, {"n", "a", false}}, "a", ""},
		{"for one and then all", []word{{"n", "a", true}, {"", "a", true}}, "a", "a"},
		{"for all anew", []word{{"", "a", true}, {"n", "a", false}, {"", "a", true}}, "a", "a"},
		{"ended for all", []word{{"n", "a", true}, {"", "a", true}, {"", "a", false}}, "", ""},
		{"ended for one", []word{{"n", "a", true}, {"n", "a", false}}, "", ""},
		{"not the other address", []word{{"", "b", true}, {"n", "a", true}, {"", "b", false}}, "", "a"},
		{"several", []word{{"", "b", true}, {"", "a", true}, {"n", "c", true}}, "a b", "a b c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var d Drains
			for _, w := range tc.words {
				before := slices.Clone(d)
				next := d.Decide(w.pool, w.address, w.drained, "one", time.Unix(1, 0))
				if !slices.Equal(before, d) {
					t.Fatalf("the value changed from %v to %v", before, d)
				}
				if !slices.Equal(next, next.Decide(w.pool, w.address, w.drained, "another", time.Unix(2, 0))) {
					t.Errorf("%v said twice is not the same", w)
				}
				d = next
			}
			if got := strings.Join(slices.Sorted(maps.Keys(d.In(""))), " "); got != tc.all {
				t.Errorf("unnamed pools have %q drained, want %q", got, tc.all)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(d.In("n"))), " "); got != tc.named {
				t.Errorf("the named pool has %q drained, want %q", got, tc.named)
			}
		})
	}
}

// Who drained an address is known for each pool: the decision for the pool before the
// one for all.
func TestWhoDrained(t *testing.T) {
	t.Parallel()
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	d := Drains(nil).Decide("", "a", true, "ann", first).Decide("n", "b", true, "bob", second)
	for _, tt := range []struct {
		scope, address, by string
		since              time.Time
	}{
		{"", "a", "ann", first}, {"n", "a", "ann", first}, {"n", "b", "bob", second}, {"", "b", "", time.Time{}}, {"", "c", "", time.Time{}},
	} {
		by, drained := d.Of(tt.scope, tt.address)
		if drained != (tt.by != "") || drained && (by.By != tt.by || !by.Since.Equal(tt.since)) {
			t.Errorf("%q in %q: %+v, %v", tt.address, tt.scope, by, drained)
		}
	}
	if by, drained := d.Decide("n", "a", false, "bob", second).Of("n", "a"); drained {
		t.Errorf("it serves there, and %+v drained it", by)
	}
}

// readPool reads an identity: the name, with ! if it is the user's, and addresses; the
// digest is of the list, and of what follows a slash.
func readPool(text string) Identity {
	list, options, _ := strings.Cut(text, "/")
	words := strings.Fields(list)
	name, named := strings.CutSuffix(words[0], "!")
	return Identity{Name: name, Named: named, Addresses: words[1:], Digest: Digest(strings.Join(words[1:], " ") + "/" + options)}
}

func readPools(texts []string) (list []Identity) {
	for _, text := range texts {
		list = append(list, readPool(text))
	}
	return list
}

func TestSuccessors(t *testing.T) {
	for _, tc := range []struct {
		name      string
		old, next []string
		want      map[int]int
	}{
		{"unchanged", []string{"a a b", "c c"}, []string{"a a b", "c c"}, map[int]int{0: 0, 1: 1}},
		{"reordered sites", []string{"a-1 a b", "a-2 a c"}, []string{"a-2 a c", "a-1 a b"}, map[int]int{0: 1, 1: 0}},
		{"an address in front", []string{"a a b"}, []string{"z z a b"}, map[int]int{0: 0}},
		{"the name is now another's", []string{"a a b c"}, []string{"a a x", "z z a b c"}, map[int]int{0: 1}},
		{"a site less", []string{"a-1 a b", "a-2 a c"}, []string{"a a c"}, map[int]int{1: 0}},
		{"nothing in common", []string{"a a b"}, []string{"c c d"}, nil},
		{"a name, whatever the list", []string{"n! a b", "c c"}, []string{"n! c d", "x a b"}, map[int]int{0: 0}},
		{"a name that is gone", []string{"n! a b"}, []string{"m! a b", "a a b"}, nil},
		{"a name that is given", []string{"a a b"}, []string{"n! a b c"}, map[int]int{0: 0}},
		{"a namesake is not for others", []string{"n! a b", "c c d"}, []string{"n! c d"}, map[int]int{0: 0}},
		{"other options", []string{"a a b/x"}, []string{"a a b/y"}, map[int]int{0: 0}},
		{"other options of one", []string{"a-1 a b/x", "a-2 a b/y"}, []string{"a-2 a b/y", "a-3 a b/z"}, map[int]int{0: 1, 1: 0}},
		{"other options of both", []string{"a-1 a b/x", "a-2 a b/y"}, []string{"a-3 a b/z", "a-4 a b/w"}, nil},
		{"split in equal parts", []string{"a a b c d"}, []string{"b b a", "c c d"}, nil},
		{"split in parts of which one keeps the name", []string{"a a b c d"}, []string{"c c d", "a a b"}, map[int]int{0: 1}},
		{"joined", []string{"a a b", "c c"}, []string{"a a b c"}, map[int]int{0: 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old, next := readPools(tc.old), readPools(tc.next)
			for i, got := range Successors(old, next) {
				want, ok := tc.want[i]
				if !ok {
					want = -1
				}
				if got != want {
					t.Errorf("%s goes on in %d, want %d", tc.old[i], got, want)
				}
			}
			// The order of the new pools is of no account.
			slices.Reverse(next)
			for i, got := range Successors(old, next) {
				want, ok := tc.want[i]
				if ok {
					want = len(next) - 1 - want
				} else {
					want = -1
				}
				if got != want {
					t.Errorf("in the other order %s goes on in %d, want %d", tc.old[i], got, want)
				}
			}
		})
	}
}

func TestMergedState(t *testing.T) {
	state := func(pool string, s report.Snapshot) Pool { return Pool{readPool(pool), s} }
	added := []address.URI{{Scheme: "http", Host: "d", Port: "80"}}
	for _, tc := range []struct {
		name   string
		state  State
		next   []string
		drains Drains
		failed []string // target of the manual failover in each pool
		lost   []Lost
	}{
		{
			"a drain holds where the address is",
			State{Drains: Drains{{Address: "b"}}, Pools: []Pool{state("a a b", report.Snapshot{})}},
			[]string{"a a", "c c b"},
			Drains{{Address: "b"}},
			[]string{"", ""},
			nil,
		},
		{
			"a drain without a place",
			State{Drains: Drains{{Address: "b"}, {Address: "c", Pool: "n"}, {Address: "c", Pool: "m", Serves: true}}},
			[]string{"a a c"},
			nil,
			[]string{""},
			[]Lost{{"", "drain", "b"}, {"n", "drain", "c"}, {"m", "resume", "c"}},
		},
		{
			"a drain of an address that was added",
			State{Drains: Drains{{Address: "http://d:80"}}, Pools: []Pool{state("a a b", report.Snapshot{Added: added})}},
			[]string{"a a b"},
			Drains{{Address: "http://d:80"}},
			[]string{""},
			nil,
		},
		{
			"a manual failover follows the addresses",
			State{Pools: []Pool{state("a a b", report.Snapshot{Failover: "b"})}},
			[]string{"a a x", "z z a b"},
			nil,
			[]string{"", "b"},
			nil,
		},
		{
			"a manual failover whose target is gone",
			State{Pools: []Pool{state("a a b", report.Snapshot{Failover: "b"})}},
			[]string{"a a c"},
			nil,
			[]string{"b"},
			[]Lost{{"a", "failover", "b"}},
		},
		{
			"a pool that is gone",
			State{Pools: []Pool{state("n! a b", report.Snapshot{Failover: "b", Added: added})}},
			[]string{"a a b"},
			nil,
			[]string{""},
			[]Lost{{"n", "failover", "b"}, {"n", "added address", "http://d:80"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := json.Marshal(tc.state)
			if err != nil {
				t.Fatal(err)
			}
			var s State
			if err := json.Unmarshal(text, &s); err != nil || !reflect.DeepEqual(s, tc.state) {
				t.Fatalf("%+v became %+v (%v)", tc.state, s, err)
			}
			states, kept, lost := s.Merge(readPools(tc.next))
			if !slices.Equal(kept, tc.drains) {
				t.Errorf("decisions %v are kept, want %v", kept, tc.drains)
			}
			if !slices.Equal(lost, tc.lost) {
				t.Errorf("lost: %v, want %v", lost, tc.lost)
			}
			for i, want := range tc.failed {
				got := ""
				if states[i] != nil {
					got = states[i].Failover
				}
				if got != want {
					t.Errorf("%s: manual failover to %q, want %q", tc.next[i], got, want)
				}
			}
		})
	}
}

func TestNamedPools(t *testing.T) {
	list := func(address string) string { return Digest("a\n" + address)[:digestLength] }
	options := func(text string) string { return readPool(text).Digest[:digestLength] }
	for _, tc := range []struct {
		name string
		in   []string
		want []string
	}{
		{"alone", []string{"a a b", "c c"}, []string{"a", "c"}},
		{"alike", []string{"a a\nb", "a a\nc"}, []string{"a-" + list("a\nb"), "a-" + list("a\nc")}},
		{"alike in their lists", []string{"a a b/x", "a a b/y"}, []string{"a-" + options("a a b/x"), "a-" + options("a a b/y")}},
		{"named by the user", []string{"a! b", "a a"}, []string{"a", "a-" + list("a")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 {
				var ids []Identity
				var fixed []bool
				for _, text := range tc.in {
					id := readPool(strings.ReplaceAll(text, "\n", " "))
					ids, fixed = append(ids, id), append(fixed, id.Named)
				}
				SetNames(ids, fixed)
				for i, id := range ids {
					if id.Name != tc.want[i] {
						t.Errorf("%s is called %s, want %s", tc.in[i], id.Name, tc.want[i])
					}
				}
				slices.Reverse(tc.in) // the order is of no account
				slices.Reverse(tc.want)
			}
		})
	}
}
