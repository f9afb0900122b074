// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTheGateDoublesWithWhatTheMemberStands(t *testing.T) {
	now := time.Now()
	g := NewGate(Gate{})
	for range 3 {
		var parties []uint32
		for range g.Width {
			parties = append(parties, g.Pass(now, false))
		}
		if g.Free(false) {
			t.Fatalf("more than %d pass", g.Width)
		}
		for _, p := range parties {
			g.Leave(p, false, true)
		}
		now = now.Add(time.Millisecond)
	}
	if g.Width != 128 || g.Used != 0 {
		t.Fatalf("width is %d after three rounds, %d are in it", g.Width, g.Used)
	}
	g.Leave(g.Pass(now, false), false, false)
	if g.Width != 128 || g.answered != 0 {
		t.Errorf("one that says nothing made the width %d, %d answered", g.Width, g.answered)
	}
	old := g.Pass(now, false)
	if g = NewGate(g); g.Width != 16 || g.Used != 0 {
		t.Errorf("a new gate has width %d and %d in it", g.Width, g.Used)
	}
	g.Pass(now, false)
	if g.Leave(old, false, true); g.Used != 1 {
		t.Error("one that passed the gate before has left this one")
	}
}

func TestPlacesInTheGateExpire(t *testing.T) {
	now := time.Now()
	g := NewGate(Gate{})
	var first uint32
	for range 16 {
		first = g.Pass(now, false)
	}
	if g.Expire(now.Add(PlaceTime - 1)) {
		t.Error("places are over too early")
	}
	second := now.Add(PlaceTime)
	if !g.Expire(second) || g.Used != 0 || g.Width != 32 {
		t.Errorf("after their time %d are in a gate of %d", g.Used, g.Width)
	}
	for range 32 {
		g.Pass(second, false)
	}
	if g.Leave(first, false, true); g.Used != 32 || g.answered != 0 {
		t.Errorf("one whose time is over has left: %d are in it, %d were answered", g.Used, g.answered)
	}
}

// Whatever happens the gate counts right, and bodies never fill it.
func TestGateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type place struct {
			party uint32
			body  bool
		}
		g, now := NewGate(Gate{}), time.Now()
		var in []place
		t.Repeat(map[string]func(*rapid.T){
			"pass": func(t *rapid.T) {
				if body := rapid.Bool().Draw(t, "body"); g.Free(body) {
					in = append(in, place{g.Pass(now, body), body})
				}
			},
			"leave": func(t *rapid.T) {
				if len(in) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(in)-1).Draw(t, "i")
				g.Leave(in[i].party, in[i].body, rapid.Bool().Draw(t, "answered"))
				in = append(in[:i], in[i+1:]...)
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
				g.Expire(now)
			},
			"anew": func(*rapid.T) { g = NewGate(g) },
			"": func(t *rapid.T) {
				members, bodies := 0, 0
				for _, p := range g.parties {
					members, bodies = members+p.members, bodies+p.bodies
				}
				if members != g.Used || bodies != g.bodies || bodies < 0 || g.Used > g.Width || bodies > g.Width/2 {
					t.Fatalf("%d in a gate of %d, %d with bodies; parties have %d and %d", g.Used, g.Width, g.bodies, members, bodies)
				}
			},
		})
	})
}
