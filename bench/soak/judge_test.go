// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package soak

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

func TestJudge(t *testing.T) {
	begin := time.Now()
	at := func(s float64) time.Time { return begin.Add(time.Duration(s * float64(time.Second))) }
	const doubt = `caddy-broker; error=connection_terminated; details="in-doubt"`
	for _, tt := range []struct {
		name     string
		method   string
		id       string
		fate     harness.Fate
		status   int
		proxy    string
		retry    string
		executed map[string]int
		reported bool
		struck   bool
		want     string
	}{
		{name: "answered", method: "POST", fate: harness.OK, status: 200, executed: map[string]int{"one": 1}},
		{name: "POST twice", method: "POST", fate: harness.OK, status: 200, executed: map[string]int{"one": 1, "two": 1}, want: "unsafe and executed twice"},
		{name: "POST twice at one", method: "POST", fate: harness.OK, status: 200, executed: map[string]int{"one": 2}, want: "unsafe and executed twice"},
		{name: "POST twice in a strike", method: "POST", fate: harness.EOF, executed: map[string]int{"one": 2}, struck: true, want: "unsafe and executed twice"},
		{name: "keyed POST twice", method: "POST", id: trackedPrefix + keyedSuffix + "1", fate: harness.OK, status: 200, executed: map[string]int{"one": 1, "two": 1}},
		{name: "keyed POST twice where nothing is tracked", method: "POST", id: orderedPrefix + keyedSuffix + "1", fate: harness.OK, status: 200, executed: map[string]int{"one": 2}, want: "unsafe and executed twice"},
		{name: "PUT twice", method: "PUT", fate: harness.OK, status: 200, executed: map[string]int{"one": 1, "two": 1}},
		{name: "GET five times", method: "GET", fate: harness.OK, status: 200, executed: map[string]int{"one": 3, "two": 2}, want: "written too often"},
		{name: "no execution", method: "GET", fate: harness.OK, status: 200, want: "answered and never executed"},
		{name: "GET lost", method: "GET", fate: harness.Status, status: 502, want: "safe and lost"},
		{name: "GET cut", method: "GET", fate: harness.EOF, want: "lost without an answer"},
		{name: "GET cut in a strike", method: "GET", fate: harness.EOF, struck: true},
		{name: "GET error in a strike", method: "GET", fate: harness.Status, status: 502, struck: true, want: "safe and lost"},
		{name: "refused in a strike", method: "GET", fate: harness.Refused, struck: true, want: "refused"},
		{name: "timeout", method: "GET", fate: harness.Timeout, want: "lost without an answer"},
		{name: "POST in doubt", method: "POST", fate: harness.Status, status: 502, proxy: doubt, executed: map[string]int{"one": 1}, reported: true},
		{name: "POST in doubt, unlisted", method: "POST", fate: harness.Status, status: 502, proxy: doubt, want: "in doubt, and not listed"},
		{name: "POST in doubt, come again", method: "POST", fate: harness.Status, status: 502, proxy: doubt, retry: "1", reported: true, want: "in doubt, and invites to retry"},
		{name: "POST executed, no doubt", method: "POST", fate: harness.Status, status: 502, executed: map[string]int{"one": 1}, reported: true, want: "executed, and the error does not say in doubt"},
		{name: "POST unwritten", method: "POST", fate: harness.Status, status: 503, want: "never written, and lost"},
		{name: "not found", method: "GET", fate: harness.Status, status: 404, want: "an answer that no backend gives"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.id == "" {
				tt.id = orderedPrefix + "1"
			}
			r := &harness.Result{
				ID: tt.id, Method: tt.method, Fate: tt.fate, Status: tt.status, Header: http.Header{},
				Due: at(1), Dialed: at(1), End: at(2),
			}
			if tt.proxy != "" {
				r.Header.Set("Proxy-Status", tt.proxy)
			}
			if tt.retry != "" {
				r.Header.Set("Retry-After", tt.retry)
			}
			e := evidence{
				results:    harness.Results{r},
				strikes:    []strike{{at(3), at(4)}},
				executions: map[string]map[string]int{tt.id: tt.executed},
				reported:   map[string]bool{tt.id: tt.reported},
			}
			if tt.struck {
				e.strikes = append(e.strikes, strike{at(1.5), at(1.6)})
			}
			if got := e.wrong(r); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			bad := e.judge()
			if (len(bad) > 0) != (tt.want != "") || (len(bad) > 0 && !strings.Contains(bad[0], tt.id)) {
				t.Errorf("judge: %q", bad)
			}
		})
	}
}

func TestRequestsOfALoadAreWhatTheirNamesSay(t *testing.T) {
	for _, l := range loads("127.0.0.1:1") {
		for _, r := range l.Requests {
			tracked := r.Header.Get("X-Site") == "tracked"
			if tracked != strings.HasPrefix(l.Name, trackedPrefix) {
				t.Errorf("load %s: site %q", l.Name, r.Header.Get("X-Site"))
			}
			if hasKey := r.Header.Get("Idempotency-Key") != ""; hasKey != keyed(l.Name+"-1") {
				t.Errorf("load %s: Idempotency-Key %t", l.Name, hasKey)
			}
		}
	}
}

func TestSeedRepeatsFaults(t *testing.T) {
	const count = 5
	draw := func(seed uint64) (faults []int, rest string) {
		s := newSchedule(seed, count)
		for range 4 * count {
			fault, length, own := s.next()
			if length < shortest || length > longest {
				t.Errorf("a fault lasts %s", length)
			}
			faults = append(faults, fault)
			rest += fmt.Sprint(fault, length, own, " ")
		}
		return faults, rest
	}
	faults, first := draw(1)
	_, again := draw(1)
	_, other := draw(2)
	if first != again || first == other {
		t.Error("the seed does not decide")
	}
	for i := 0; i < len(faults); i += count {
		if round := slices.Sorted(slices.Values(faults[i : i+count])); !slices.Equal(round, []int{0, 1, 2, 3, 4}) {
			t.Errorf("one round has the faults %v", round)
		}
	}
}
