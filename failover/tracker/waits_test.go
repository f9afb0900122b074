// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import (
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// A wait is in the first bucket whose bound it does not exceed, and one that exceeds all of
// them counts as well.
func TestWaits(t *testing.T) {
	var w Waits
	for _, d := range []time.Duration{0, 10 * time.Millisecond, 10*time.Millisecond + 1, time.Hour} {
		w.Note(report.WaitServed, d)
	}
	all := w.Read()
	served := all[report.WaitServed]
	if served.Count != 4 || served.Sum != time.Hour+20*time.Millisecond+1 || served.Buckets[0] != 2 || served.Buckets[1] != 1 {
		t.Errorf("%+v", served)
	}
	if all[report.WaitRefused].Count+all[report.WaitLeft].Count != 0 {
		t.Errorf("%+v", all)
	}
}
