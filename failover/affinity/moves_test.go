// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package affinity

import (
	"testing"

	"pgregory.net/rapid"
)

// member is what clients are moved to; its size makes each one another.
type member struct{ _ byte }

// The table does what a map would do, as long as it is not full.
func TestMovesAreAMap(t *testing.T) {
	members := []*member{new(member), new(member), new(member)}
	rapid.Check(t, func(t *rapid.T) {
		var table Moves[*member]
		want := map[uint64]*member{}
		// Few keys, so that removing meets chains; all in one shard.
		key := rapid.Custom(func(t *rapid.T) uint64 { return shardKeys[rapid.IntRange(0, 200).Draw(t, "i")] })
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, m := key.Draw(t, "key"), rapid.SampledFrom(members).Draw(t, "to")
				if table.Put(k, m, 1) != (want[k] != m) {
					t.Fatal("put does not tell what is new")
				}
				want[k] = m
			},
			"drop": func(t *rapid.T) {
				k, m := key.Draw(t, "key"), rapid.SampledFrom(members).Draw(t, "to")
				if table.Drop(k, m) != (want[k] == m && m != nil) {
					t.Fatal("drop does not tell what was there")
				}
				if want[k] == m {
					delete(want, k)
				}
			},
			"dropIf": func(t *rapid.T) {
				m := rapid.SampledFrom(members).Draw(t, "to")
				n := 0
				for k, to := range want {
					if to == m {
						delete(want, k)
						n++
					}
				}
				if got := table.DropIf(func(_ uint64, to *member) bool { return to == m }); got != n {
					t.Fatalf("dropped %d, want %d", got, n)
				}
			},
			"": func(t *rapid.T) {
				if n := table.Len(); n != int64(len(want)) {
					t.Fatalf("count is %d, want %d", n, len(want))
				}
				for _, k := range shardKeys[:201] {
					if got := table.Get(k, 1); got != want[k] {
						t.Fatalf("key %x: got %v, want %v", k, got, want[k])
					}
				}
			},
		})
	})
}

// shardKeys are keys of one shard, more than it holds.
var shardKeys = func() (keys []uint64) {
	for k := uint64(0); len(keys) < ShardMoves+10; k++ {
		if Mix(k)>>58 == 5 {
			keys = append(keys, k)
		}
	}
	return keys
}()

func TestTheLongestUnusedMoveMakesRoom(t *testing.T) {
	var table Moves[*member]
	m := new(member)
	for i, k := range shardKeys[:ShardMoves] {
		table.Put(k, m, uint32(i))
	}
	table.Get(shardKeys[0], ShardMoves) // used again: now the second is the oldest
	for i, k := range shardKeys[ShardMoves:] {
		table.Put(k, m, ShardMoves+uint32(i))
	}
	if n := table.Len(); n != ShardMoves {
		t.Errorf("%d moves are kept, want %d", n, ShardMoves)
	}
	for i, k := range shardKeys {
		if kept := table.Get(k, 0) != nil; kept == (1 <= i && i <= 10) {
			t.Errorf("move %d: kept is %v", i, kept)
		}
	}
}

func TestMovesAreBounded(t *testing.T) {
	var table Moves[*member]
	m := new(member)
	for k := range uint64(MaxMoves + 8000) {
		table.Put(k, m, 0)
	}
	if n := table.Len(); n > MaxMoves || n < MaxMoves*99/100 {
		t.Errorf("%d moves are kept, want %d", n, MaxMoves)
	}
}
