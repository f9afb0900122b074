// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"math"
	"testing"
	"time"
)

// fill lets n requests in at once and returns the number of their party.
func fill(g *Gate, now time.Time, n int, body bool) (number uint32) {
	for range n {
		number = g.Pass(now, body)
	}
	return number
}

// Bodies that are on their way get half of the places.
func TestGateKeepsPlacesForThoseWithoutBody(t *testing.T) {
	g := NewGate(Gate{})
	for i := range gateWidth / 2 {
		if !g.Free(true) {
			t.Fatalf("no place for body %d", i+1)
		}
		fill(&g, start, 1, true)
	}
	if g.Free(true) || !g.Free(false) {
		t.Errorf("with half of the places taken by bodies: a body %t, none %t", g.Free(true), g.Free(false))
	}
	fill(&g, start, gateWidth/2-1, false)
	if !g.Free(false) {
		t.Error("the last place is not free")
	}
	if fill(&g, start, 1, false); g.Free(false) || g.Free(true) {
		t.Error("a place is free beyond the width")
	}
}

// The width doubles when as many were answered as it is wide, and not for those that
// ended otherwise.
func TestGateWidensWithAnswers(t *testing.T) {
	g := NewGate(Gate{})
	for i := range gateWidth {
		g.Leave(g.Pass(start, true), true, false)
		g.Leave(g.Pass(start, true), true, true)
		if want := gateWidth; i < gateWidth-1 && g.Width != want {
			t.Fatalf("after %d answers it is %d wide", i+1, g.Width)
		}
	}
	if g.Width != 2*gateWidth || g.answered != 0 || g.Used != 0 || g.bodies != 0 || len(g.parties) != 0 {
		t.Errorf("after %d answers: %+v", gateWidth, g)
	}
	g.Width = maxGateWidth
	if g.stood(maxGateWidth); g.Width != maxGateWidth {
		t.Errorf("it is %d wide", g.Width)
	}
}

// Those that have had a place for its time keep nobody out, and the member stands them. Of
// one that ends later nothing is counted twice.
func TestGateFreesPlacesAfterTheirTime(t *testing.T) {
	g := NewGate(Gate{})
	early := fill(&g, start, 3, true)
	fill(&g, start, 2, false)
	late := fill(&g, start.Add(time.Millisecond), 4, true)
	if early == late || early == 0 {
		t.Fatalf("parties %d and %d", early, late)
	}
	g.Leave(early, true, true)
	if g.Expire(start.Add(PlaceTime-1)) || g.Used != 8 {
		t.Fatalf("before the time: %+v", g)
	}
	if !g.Expire(start.Add(PlaceTime)) || g.Used != 4 || g.bodies != 4 || g.answered != 5 {
		t.Fatalf("after the time of the first: %+v", g)
	}
	g.Leave(early, true, true)
	if g.Used != 4 || g.bodies != 4 || g.answered != 5 {
		t.Errorf("one that had its time has ended: %+v", g)
	}
	g.Leave(late, true, false)
	if !g.Expire(start.Add(time.Hour)) || g.Used != 0 || g.bodies != 0 || g.answered != 8 {
		t.Errorf("after the time of all: %+v", g)
	}
	if g.Expire(start.Add(2 * time.Hour)) {
		t.Error("there were none")
	}
}

// A party's number is never that of one before it, in the gate or in the one before.
func TestGateNumbersItsParties(t *testing.T) {
	g := NewGate(Gate{})
	first := g.Pass(start, false)
	if again := g.Pass(start, false); again != first {
		t.Errorf("at the same moment: %d after %d", again, first)
	}
	next := NewGate(g)
	if n := next.Pass(start, false); n != first+1 || next.Width != gateWidth || next.Used != 1 {
		t.Errorf("the next gate gives number %d after %d: %+v", n, first, next)
	}
	// The first of two parties may end before the second.
	second := next.Pass(start.Add(1), false)
	next.Leave(first+1, false, false)
	next.Leave(second, false, false)
	if next.Used != 0 || len(next.parties) != 0 {
		t.Errorf("both parties have ended: %+v", next)
	}
	if g.last = math.MaxUint32; g.Pass(start.Add(time.Second), false) != 1 {
		t.Error("a number is 0")
	}
}
