// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Results are the fates of a load's requests.
type Results []*Result

// Failed are those that did not get a good answer.
func (rs Results) Failed() Results {
	return rs.Where(func(r *Result) bool { return r.Fate != OK })
}

// Where are those that f holds for.
func (rs Results) Where(f func(*Result) bool) Results {
	var some Results
	for _, r := range rs {
		if f(r) {
			some = append(some, r)
		}
	}
	return some
}

// Slowest is the longest latency.
func (rs Results) Slowest() time.Duration {
	var longest time.Duration
	for _, r := range rs {
		longest = max(longest, r.Latency())
	}
	return longest
}

// Percentile is the latency that a share p, from 0 to 1, of requests did not exceed.
func (rs Results) Percentile(p float64) time.Duration {
	if len(rs) == 0 {
		return 0
	}
	latencies := make([]time.Duration, len(rs))
	for i, r := range rs {
		latencies[i] = r.Latency()
	}
	slices.Sort(latencies)
	return latencies[min(int(p*float64(len(rs))), len(rs)-1)]
}

// InDoubt reports whether an error answer says that the request may have been executed.
func InDoubt(r *Result) bool {
	return strings.Contains(r.Header.Get("Proxy-Status"), `details="in-doubt"`)
}

// Silence is a time without a success.
type Silence struct{ From, To time.Time }

// Silences are the times between one success and the next, in order, the first
// from when the first request was due and the last until the last fate was known.
func (rs Results) Silences() []Silence {
	if len(rs) == 0 {
		return nil
	}
	moments := []time.Time{rs[0].Due}
	last := rs[0].End
	for _, r := range rs {
		if r.Fate == OK {
			moments = append(moments, r.End)
		}
		if r.End.After(last) {
			last = r.End
		}
	}
	moments = append(moments, last)
	slices.SortFunc(moments, time.Time.Compare)
	silences := make([]Silence, 0, len(moments)-1)
	for i := range moments[1:] {
		silences = append(silences, Silence{moments[i], moments[i+1]})
	}
	return silences
}

// Gap is the longest time without a success.
func (rs Results) Gap() time.Duration {
	var gap time.Duration
	for _, s := range rs.Silences() {
		gap = max(gap, s.To.Sub(s.From))
	}
	return gap
}

// String is one line: how many met which fate, and how long it took.
func (rs Results) String() string {
	counts := map[string]int{}
	var names []string
	for _, r := range rs {
		name := string(r.Fate)
		if r.Fate == Status {
			name = strconv.Itoa(r.Status)
		}
		if counts[name]++; counts[name] == 1 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var line strings.Builder
	fmt.Fprintf(&line, "%d requests", len(rs))
	for _, name := range names {
		fmt.Fprintf(&line, ", %s %d", name, counts[name])
	}
	for _, t := range []struct {
		name string
		time time.Duration
	}{
		{"p50", rs.Percentile(.5)},
		{"p99", rs.Percentile(.99)},
		{"p99.9", rs.Percentile(.999)},
		{"slowest", rs.Slowest()},
		{"longest gap", rs.Gap()},
	} {
		fmt.Fprintf(&line, ", %s %s", t.name, t.time.Round(time.Microsecond))
	}
	return line.String()
}
