// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

const (
	gateWidth    = 16
	maxGateWidth = 1 << 20
)

// Gate limits how many of the requests that waited or are sent again a member
// has at a time, until it has shown how many it stands: the width doubles each
// time that many were answered, and begins anew when one is lost.
//
// Invariants: 0 ≤ Used, and a place is given only while Used < Width; Width is
// gateWidth times a power of two, up to maxGateWidth.
type Gate struct {
	Width    int // how many may be at the member at a time
	Used     int // how many are
	answered int // since the width last changed
}

// NewGate is a gate of the least width.
func NewGate() Gate { return Gate{Width: gateWidth} }

// Free reports whether one more may pass.
func (g *Gate) Free() bool { return g.Used < g.Width }

// Answered notes that one of them was answered.
func (g *Gate) Answered() {
	g.Used--
	if g.answered++; g.answered >= g.Width {
		g.Width, g.answered = min(2*g.Width, maxGateWidth), 0
	}
}

// Lost notes that one of them was lost: the member stands fewer.
func (g *Gate) Lost() {
	g.Used--
	g.Width, g.answered = gateWidth, 0
}

// Left notes that one of them ended in a way that says nothing about the member.
func (g *Gate) Left() { g.Used-- }
