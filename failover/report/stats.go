// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strconv"
	"time"
)

// PoolStats are a pool's counters, for metrics.
type PoolStats struct {
	Waiting int
	// Waits are the requests that have waited, by how that ended, indexed by WaitEnd.
	Waits [WaitEnds]Histogram
	// ReconnectAttempts is how many passes were started.
	ReconnectAttempts uint64
	Upstreams         []UpstreamStats
}

// UpstreamStats are the counters of one member.
type UpstreamStats struct {
	Name string
	// Up says that it would take requests if nothing but its own state decided; Drained,
	// that an operator lets it rest. It gets requests if it is up and not drained.
	Up, Drained bool
	// Priority says that clients are to be on it whenever it is up.
	Priority bool
	// Attempts counts attempts, indexed by Counter.
	Attempts [Counters]uint64
}

// statusClasses are those of answers: 1xx to 5xx.
const statusClasses = 5

// Counters is how many counters of attempts there are: one for each outcome, where that
// of Answered is of answers whose status is not known, and one for each class of status.
const Counters = int(Neutral) + 1 + statusClasses

// Counter is the index of the counter for an attempt with this outcome, and this HTTP status
// if it was answered; 0 is one that is not known.
func Counter(o Outcome, status int) int {
	if class := status / 100; o == Answered && class >= 1 && class <= statusClasses {
		return int(Neutral) + class
	}
	return int(o)
}

// OfCounter returns what is counted at an index: an outcome, and the class of status as
// metrics have it, which is "" for all that was not answered.
func OfCounter(i int) (o Outcome, class string) {
	if i > int(Neutral) {
		return Answered, strconv.Itoa(i-int(Neutral)) + "xx"
	}
	return Outcome(i), ""
}

// WaitEnd is how the wait of a request for a backend ended.
type WaitEnd uint8

// The ends of a wait.
const (
	// WaitServed: it got a backend.
	WaitServed WaitEnd = iota
	// WaitRefused: it got an error: its time was over, or there was no hope.
	WaitRefused
	// WaitLeft: its client left.
	WaitLeft

	// WaitEnds is how many there are.
	WaitEnds = iota
)

// String names the end as metrics do.
func (e WaitEnd) String() string {
	switch e {
	case WaitServed:
		return "served"
	case WaitRefused:
		return "refused"
	default:
		return "left"
	}
}

// WaitBounds are the upper bounds of the buckets in which waits are counted.
var WaitBounds = [...]time.Duration{
	10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

// Histogram counts durations.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	// Buckets count those that are at most as long as the bound of the same index in
	// WaitBounds, and longer than the one before.
	Buckets [len(WaitBounds)]uint64
}
