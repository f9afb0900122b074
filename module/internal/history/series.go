// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package history

import "time"

const (
	// Period is the time of one step.
	Period = 10 * time.Second
	// Slots is how many steps there are.
	Slots = 360
)

// Key names what has a history: an upstream of a pool, or the pool itself, whose
// Upstream is empty.
type Key struct{ Pool, Upstream string }

// Totals are counters that only grow as long as their process lives.
type Totals struct {
	Requests, Failures float64
	// Answers are those whose time is known, and Seconds is the sum of these times.
	Answers, Seconds float64
}

// minus is what was counted since an earlier moment of the same process.
func (t Totals) minus(before Totals) Totals {
	return Totals{
		Requests: max(0, t.Requests-before.Requests), Failures: max(0, t.Failures-before.Failures),
		Answers: max(0, t.Answers-before.Answers), Seconds: max(0, t.Seconds-before.Seconds),
	}
}

// Point is what was counted in one step.
type Point struct {
	// Known says that something was counted at all.
	Known              bool
	Requests, Failures float32
	Answers, Seconds   float32
}

// series are the steps of one key.
type series struct {
	last   Totals // when it was counted last
	step   int64  // of the newest point
	points [Slots]Point
}

// stepOf numbers the steps since the beginning of time.
func stepOf(t time.Time) int64 { return t.UnixNano() / int64(Period) }

// advance makes step the newest one. What is between was not counted.
func (s *series) advance(step int64) {
	for range min(max(step-s.step, 0), Slots) {
		s.step++
		s.points[s.step%Slots] = Point{}
	}
	s.step = max(s.step, step)
}

// add spreads what was counted over the steps since the count before: a step in which
// nobody could look was not idle, and the one after it had no peak.
func (s *series) add(from, to int64, d Totals) {
	from = max(from, to-Slots+1)
	share := 1 / float64(to-from+1)
	for step := from; step <= to; step++ {
		p := &s.points[step%Slots]
		p.Known = true
		p.Requests += float32(d.Requests * share)
		p.Failures += float32(d.Failures * share)
		p.Answers += float32(d.Answers * share)
		p.Seconds += float32(d.Seconds * share)
	}
}

// Count remembers the counters of a process as they are now. The first ones of all say
// nothing of the time before, so they are where counting begins; those of a process that
// took another one's place begin with nothing.
func (b *Book) Count(process int, now time.Time, totals map[Key]Totals) {
	step := stepOf(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	first, other := b.process == 0, b.process != process
	b.process = process
	if b.series == nil {
		b.series = make(map[Key]*series)
	}
	for key, s := range b.series {
		if other {
			s.last = Totals{}
		}
		if step-s.step > Slots {
			delete(b.series, key)
		}
	}
	for key, t := range totals {
		s := b.series[key]
		if s == nil {
			if len(b.series) >= maxSeries {
				continue
			}
			s = &series{step: step - Slots}
			b.series[key] = s
			if first {
				s.last = t
			}
		}
		from := s.step + 1
		if !s.points[s.step%Slots].Known || other || step <= s.step { // nothing is known of the steps before
			from = step
		}
		s.advance(step)
		s.add(from, step, t.minus(s.last))
		s.last = t
	}
}

// Points are the steps of the last hour, the oldest first; nil is a key of which nothing
// is known.
func (b *Book) Points(key Key, now time.Time) []Point {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.series[key]
	if s == nil {
		return nil
	}
	list, newest := make([]Point, Slots), stepOf(now)
	for i := range list {
		step := newest - int64(Slots-1-i)
		if step <= s.step && step > s.step-Slots {
			list[i] = s.points[step%Slots]
		}
	}
	return list
}
