// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import "math"

// settings are what Go's runtime is given.
type settings struct {
	percent int   // of what is alive, that garbage may gather: GOGC
	limit   int64 // in bytes, at which it is collected at the latest: GOMEMLIMIT
}

// heap is what a process has of memory.
type heap struct {
	live  int64 // what the last collection found alive
	other int64 // what the runtime has besides the heap: stacks, its own tables
}

const (
	// lazy is the percentage where there is room, and eager the one near the limit,
	// which is Go's own.
	lazy, eager = 400, 100
	// step is what the percentage changes by: each change stops the process for a moment.
	step = 25
	// limitStep likewise, in bytes.
	limitStep = 16 << 20
)

// choose is what a process is given that has that heap. ratio is the part of its memory
// that Go's runtime may have; the rest is for what it knows nothing of.
//
// The limit makes Go collect as often as it takes, so it is never near to what is alive:
// below five quarters of that the process would do little else. Then the whole is the
// limit, beyond which the system ends processes.
func (p *Policy) choose(h heap, ratio float64) settings {
	s := settings{percent: lazy, limit: math.MaxInt64}
	if p.Share > 0 {
		part := partOf(p.Share, ratio)
		s.limit = part
		if floor := h.live + h.live/4 + h.other; floor > part {
			s.limit = (floor + limitStep - 1) / limitStep * limitStep
		}
		if p.Whole > 0 {
			s.limit = min(s.limit, max(part, partOf(p.Whole, ratio)))
		}
	}
	if all := p.least(); all > 0 && h.live > 0 { // garbage fills at most four fifths of what there is
		room := max(partOf(all, ratio)/5*4-h.other-h.live, 0)
		s.percent = int(min(float64(room)/float64(h.live)*100, lazy)) / step * step
	}
	s.percent = max(s.percent, eager)
	if p.GC > 0 {
		s.percent = p.GC
	}
	return s
}

// partOf is what Go's runtime may have of so many bytes.
func partOf(bytes int64, ratio float64) int64 { return int64(float64(bytes) * ratio) }

// least is what garbage may fill, 0 is unknown. What is above max_memory is replaced: a
// limit of Go's there would only make a process that leaks collect without end before.
func (p *Policy) least() int64 {
	if p.Max > 0 && (p.Share == 0 || p.Max < p.Share) {
		return p.Max
	}
	return p.Share
}
