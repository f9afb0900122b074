// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

func orderOf(names []string, prio int, randomize bool) *order {
	var list []*Member
	for _, name := range names {
		list = append(list, newMember(address.URI{Scheme: "http", Host: name, Port: "80"}))
	}
	o := newOrder(list[:prio], list[prio:], randomize)
	o.finish()
	return o
}

// permutation is the whole order of one client.
func (o *order) permutation(key uint64) (hosts []string) {
	w := o.walk(affinity.BucketOf(key))
	for {
		i := w.Next(func(int) bool { return true })
		if i < 0 {
			return hosts
		}
		hosts = append(hosts, o.members[i].URI.Host)
	}
}

func hostNames() *rapid.Generator[[]string] {
	return rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,8}`), 1, 80, rapid.ID[string])
}

// The order is a permutation that depends only on the key and the set of
// addresses, and begins with the member that first names.
func TestOrderIsAPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := hostNames().Draw(t, "names")
		prio := rapid.IntRange(0, min(3, len(names))).Draw(t, "prio")
		randomize := rapid.Bool().Draw(t, "randomize")
		key := rapid.Uint64().Draw(t, "key")
		o := orderOf(names, prio, randomize)
		got := o.permutation(key)
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(names))) {
			t.Fatalf("%v is no permutation of %v", got, names)
		}
		if !slices.Equal(got[:prio], names[:prio]) {
			t.Fatalf("%v does not begin with the priority members %v", got, names[:prio])
		}
		for range 2 { // the second time from the table, where there is one
			if first := o.members[o.first(affinity.BucketOf(key))].URI.Host; first != got[0] {
				t.Fatalf("first is %s, the order begins with %s", first, got[0])
			}
		}
		if !randomize {
			if !slices.Equal(got, names) {
				t.Fatalf("%v is not in list order %v", got, names)
			}
			return
		}
		shuffled := append(slices.Clone(names[:prio]), rapid.Permutation(names[prio:]).Draw(t, "shuffled")...)
		if other := orderOf(shuffled, prio, true).permutation(key); !slices.Equal(got, other) {
			t.Fatalf("the order depends on the list's: %v and %v", got, other)
		}
	})
}

// Adding or removing a member does not change the order of the others.
func TestOrderIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := hostNames().Draw(t, "names")
		gone := rapid.SampledFrom(names).Draw(t, "gone")
		key := rapid.Uint64().Draw(t, "key")
		without := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == gone })
		got := slices.DeleteFunc(orderOf(names, 0, true).permutation(key), func(s string) bool { return s == gone })
		if want := orderOf(without, 0, true).permutation(key); !slices.Equal(got, want) {
			t.Fatalf("without %s: %v, want %v", gone, want, got)
		}
	})
}

// chiSquare99 is the value that chi-squared with n degrees of freedom exceeds in
// one of a hundred cases.
var chiSquare99 = map[int]float64{2: 9.210, 9: 21.666, 99: 134.642}

func chiSquared(counts map[string]int, n, total int) (x float64) {
	want := float64(total) / float64(n)
	for _, c := range counts {
		x += (float64(c) - want) * (float64(c) - want) / want
	}
	return x + float64(n-len(counts))*want
}

// 100,000 clients spread evenly, and those of a lost member spread evenly over
// the others while nobody else moves.
func TestSpread(t *testing.T) {
	const clients = 100_000
	for _, n := range []int{3, 10, 100} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			var names []string
			for i := range n {
				names = append(names, fmt.Sprintf("10.1.0.%d", i+1))
			}
			o := orderOf(names, 0, true)
			all, second := map[string]int{}, map[string]int{}
			for i := range clients {
				key := affinity.KeyOf("192.0.2." + strconv.Itoa(i))
				first := o.members[o.first(affinity.BucketOf(key))].URI.Host
				all[first]++
				if first != names[0] {
					continue
				}
				w := o.walk(affinity.BucketOf(key))
				second[o.members[w.Next(func(i int) bool { return i != 0 })].URI.Host]++
			}
			if x := chiSquared(all, n, clients); x > chiSquare99[n-1] {
				t.Errorf("chi-squared is %.1f, more than %.1f", x, chiSquare99[n-1])
			}
			lost := all[names[0]]
			mean := float64(lost) / float64(n-1)
			for _, name := range slices.Sorted(maps.Keys(all)) {
				// Five standard deviations: one in millions.
				if c := float64(second[name]); name != names[0] && (c-mean)*(c-mean) > 25*mean+25 {
					t.Errorf("of %d clients %v went to %s, the mean is %.0f", lost, c, name, mean)
				}
			}
		})
	}
}

func TestScoresOfNeighboursDiffer(t *testing.T) {
	// Keys that are no hashes spread as well.
	o := orderOf([]string{"a", "b", "c"}, 0, true)
	counts := map[string]int{}
	for key := range uint64(30_000) {
		counts[o.permutation(key)[0]]++
	}
	if x := chiSquared(counts, 3, 30_000); x > chiSquare99[2] {
		t.Errorf("chi-squared is %.1f", x)
	}
}
