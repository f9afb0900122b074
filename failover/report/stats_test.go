// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import "testing"

// Each outcome has its counter, and each class of status, and what is counted can be told
// from the index alone.
func TestCounter(t *testing.T) {
	seen := make(map[int]bool)
	for o := Answered; o <= Neutral; o++ {
		i := Counter(o, 0)
		if got, class := OfCounter(i); got != o || class != "" || seen[i] {
			t.Errorf("%s is at %d, which is %s %q", o, i, got, class)
		}
		seen[i] = true
	}
	for status, want := range map[int]string{101: "1xx", 200: "2xx", 304: "3xx", 499: "4xx", 500: "5xx"} {
		i := Counter(Answered, status)
		if got, class := OfCounter(i); got != Answered || class != want || seen[i] {
			t.Errorf("status %d is at %d, which is %s %q", status, i, got, class)
		}
		seen[i] = true
	}
	if len(seen) != Counters {
		t.Errorf("%d of %d are used", len(seen), Counters)
	}
	for _, status := range []int{-1, 0, 99, 600, 999} {
		if i := Counter(Answered, status); i != int(Answered) {
			t.Errorf("status %d is at %d", status, i)
		}
	}
	if Counter(Lost, 502) != int(Lost) {
		t.Error("an attempt without an answer has a status")
	}
}
