// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

const (
	gateWidth    = 16
	maxGateWidth = 1 << 20
)

// gate limits how many of the requests that waited or are sent again a member
// has at a time, until it has shown how many it stands: the width doubles each
// time that many were answered, and begins anew when one is lost.
//
// Invariants: 0 ≤ used, and a place is given only while used < width; width is
// gateWidth times a power of two, up to maxGateWidth.
type gate struct{ width, used, answered int }

func newGate() gate { return gate{width: gateWidth} }

func (g *gate) free() bool { return g.used < g.width }

// ended notes how one of them ended.
func (g *gate) ended(o Outcome) {
	g.used--
	switch o {
	case Answered:
		if g.answered++; g.answered >= g.width {
			g.width, g.answered = min(2*g.width, maxGateWidth), 0
		}
	case Lost, DialFailed, Hung:
		g.width, g.answered = gateWidth, 0
	}
}
