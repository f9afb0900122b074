// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"cmp"
	"slices"
	"time"
)

const (
	gateWidth    = 16
	maxGateWidth = 1 << 20

	// PlaceTime is how long a request keeps its place in a gate. How long it takes
	// in all may be its client's choice (a long poll, an upload that stalls), and
	// those that wait must not wait for that.
	PlaceTime = time.Second
)

// Gate limits how many of the requests that waited or are sent again a member
// has at a time, until it has shown how many it stands: the width doubles each
// time that many were answered or had kept their place for PlaceTime. Requests whose body is still
// on its way get half of the places, so that they never keep out the others.
//
// Invariants: 0 ≤ bodies ≤ Used ≤ Width; Used and bodies are the sums over the
// parties; Width is gateWidth times a power of two, up to maxGateWidth.
type Gate struct {
	Width    int // how many may be at the member at a time
	Used     int // how many are
	bodies   int // of those, with a body that is on its way
	answered int // since the width last changed
	parties  []party
	last     uint32 // the number of the last party
}

// party are the requests that passed at one moment. Parties are in order of time.
type party struct {
	number  uint32
	at      time.Time
	members int
	bodies  int
}

// NewGate is a gate of the least width. Its parties are numbered on from that of
// the gate before, so that none is taken for another one.
func NewGate(before Gate) Gate { return Gate{Width: gateWidth, last: before.last} }

// Free reports whether one more may pass, with a body on its way or without.
func (g *Gate) Free(body bool) bool {
	return g.Used < g.Width && (!body || g.bodies < g.Width/2)
}

// Pass lets a request in, and returns the number of its party, which is never 0.
func (g *Gate) Pass(now time.Time, body bool) uint32 {
	n := len(g.parties)
	if n == 0 || !g.parties[n-1].at.Equal(now) {
		g.last = max(g.last+1, 1)
		g.parties = append(g.parties, party{number: g.last, at: now})
		n++
	}
	p := &g.parties[n-1]
	g.Used++
	p.members++
	if body {
		g.bodies++
		p.bodies++
	}
	return p.number
}

// Leave notes that a request of that party has ended, answered or in a way that says
// nothing of how many the member stands.
func (g *Gate) Leave(number uint32, body, answered bool) {
	i, found := slices.BinarySearchFunc(g.parties, number, func(p party, number uint32) int { return cmp.Compare(p.number, number) })
	if !found {
		return // it has had its time
	}
	p := &g.parties[i]
	g.Used--
	p.members--
	if body {
		g.bodies--
		p.bodies--
	}
	if p.members == 0 {
		g.parties = slices.Delete(g.parties, i, i+1)
	}
	if answered {
		g.stood(1)
	}
}

// Expire frees the places of those that have had them for PlaceTime. The member
// stands them, whenever their answers come. It reports whether there were any.
func (g *Gate) Expire(now time.Time) bool {
	n := 0
	for n < len(g.parties) && now.Sub(g.parties[n].at) >= PlaceTime {
		p := g.parties[n]
		g.Used -= p.members
		g.bodies -= p.bodies
		g.stood(p.members)
		n++
	}
	g.parties = slices.Delete(g.parties, 0, n)
	return n > 0
}

// stood notes that the member stands so many more.
func (g *Gate) stood(n int) {
	if g.answered += n; g.answered >= g.Width {
		g.Width, g.answered = min(2*g.Width, maxGateWidth), 0
	}
}
