// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"
)

func TestLosses(t *testing.T) {
	const ms = time.Millisecond
	type note struct {
		after    time.Duration
		client   uint32
		answered uint64
	}
	repeat := func(n int, each note) (list []note) {
		for range n {
			list = append(list, each)
		}
		return list
	}
	for name, test := range map[string]struct {
		notes []note
		want  int // the first at which it is lost, from 1; 0 for none
	}{
		"one client, often":                 {repeat(300, note{100 * ms, 1, 0}), 0},
		"one client, for long":              {repeat(302, note{100 * ms, 1, 0}), 301},
		"two clients":                       {[]note{{0, 1, 0}, {100 * ms, 2, 0}, {100 * ms, 1, 0}, {50 * ms, 1, 0}}, 4},
		"two clients, twice":                {[]note{{0, 1, 0}, {time.Second, 2, 0}}, 0},
		"two clients, too soon":             {repeat(3, note{100 * ms, 1, 0})[:2], 0},
		"two clients, and one is served":    {[]note{{0, 1, 0}, {200 * ms, 2, 0}, {200 * ms, 1, 1}, {200 * ms, 1, 1}}, 0},
		"clients that are not known":        {[]note{{0, 0, 0}, {time.Second, 0, 0}, {time.Second, 1, 0}}, 0},
		"one that is not known, and others": {[]note{{0, 0, 0}, {100 * ms, 1, 0}, {200 * ms, 2, 0}}, 3},
		"far apart":                         {[]note{{0, 1, 0}, {11 * time.Second, 2, 0}, {11 * time.Second, 1, 0}}, 0},
		"one client, seldom":                {repeat(15, note{9 * time.Second, 1, 0}), 0},
		"one client, seldom, again":         {repeat(16, note{9 * time.Second, 1, 0}), 16},
	} {
		t.Run(name, func(t *testing.T) {
			var l Losses
			now, got := time.Now(), 0
			for i, n := range test.notes {
				now = now.Add(n.after)
				if l.Note(now, n.client, n.answered) && got == 0 {
					got = i + 1
				}
			}
			if got != test.want {
				t.Errorf("lost at the loss number %d, want %d", got, test.want)
			}
		})
	}
}
