// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// Waits counts how long requests have waited for a backend. It may be used by many
// goroutines; only those that did wait touch it.
type Waits struct {
	ends [report.WaitEnds]struct {
		sum     atomic.Int64
		buckets [len(report.WaitBounds) + 1]atomic.Uint64 // the last one has no bound
	}
}

// Note counts a wait that took d.
func (w *Waits) Note(end report.WaitEnd, d time.Duration) {
	i := 0
	for i < len(report.WaitBounds) && d > report.WaitBounds[i] {
		i++
	}
	w.ends[end].sum.Add(int64(d))
	w.ends[end].buckets[i].Add(1)
}

// Read returns what was counted, by end.
func (w *Waits) Read() (all [report.WaitEnds]report.Histogram) {
	for end := range all {
		h, e := &all[end], &w.ends[end]
		h.Sum = time.Duration(e.sum.Load())
		for i := range h.Buckets {
			h.Buckets[i] = e.buckets[i].Load()
			h.Count += h.Buckets[i]
		}
		h.Count += e.buckets[len(h.Buckets)].Load()
	}
	return all
}
