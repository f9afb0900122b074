// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package answers

import "fmt"

// Counts are answers of a process, and those of them with a status of 500 or above.
type Counts struct {
	All, Failed uint64
}

// minus is what c has more than o. Counts only grow; what does not is nonsense, and counts
// as nothing.
func (c Counts) minus(o Counts) Counts {
	if c.All < o.All || c.Failed < o.Failed || c.Failed-o.Failed > c.All-o.All {
		return Counts{}
	}
	return Counts{c.All - o.All, c.Failed - o.Failed}
}

func (c Counts) share() float64 {
	if c.All == 0 {
		return 0
	}
	return float64(c.Failed) / float64(c.All)
}

// kept is how many samples a Window has: those of a minute.
const kept = 61

// Window is what a process has answered lately. The zero value is empty.
type Window struct {
	process int
	samples []Counts // the oldest first
}

// Sample notes what a process has answered since it was started, once a second.
func (w *Window) Sample(process int, now Counts) {
	if process != w.process {
		w.process, w.samples = process, w.samples[:0]
	}
	if len(w.samples) == kept {
		w.samples = append(w.samples[:0], w.samples[1:]...)
	}
	w.samples = append(w.samples, now)
}

// Lately is what the process has answered within the last minute. Of one that was seen for
// a shorter time it is all.
func (w *Window) Lately() Counts {
	n := len(w.samples)
	if n == 0 {
		return Counts{}
	}
	from := Counts{}
	if n == kept {
		from = w.samples[0]
	}
	return w.samples[n-1].minus(from)
}

// Limit is by how much the share of failed answers may grow, as a part of 1, 0 is without
// a limit; and how many answers there must be, before and since, for that to be judged.
type Limit struct {
	More  float64
	Least uint64
}

// Exceeded says how now exceeds the limit after what was before; empty is that it does not.
func (l Limit) Exceeded(before, now Counts) string {
	now = now.minus(Counts{})
	if l.More <= 0 || min(before.All, now.All) < max(l.Least, 1) || now.share() <= before.share()+l.More {
		return ""
	}
	return fmt.Sprintf("%.1f %% of %d requests were answered with 5xx, and %.1f %% of %d before; probation_errors allows %g %% more",
		100*now.share(), now.All, 100*before.share(), before.All, 100*l.More)
}
