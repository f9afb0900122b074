// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

func TestEventsAreBounded(t *testing.T) {
	var b Book
	for i := range 3 * maxEvents {
		b.Happened(Event{Time: start.Add(time.Duration(i) * time.Second), Name: fmt.Sprint(i)})
	}
	list := b.Events(time.Time{})
	if len(list) != maxEvents || list[0].Name != fmt.Sprint(2*maxEvents) {
		t.Errorf("%d events are remembered, the first is %s", len(list), list[0].Name)
	}
	if list = b.Events(list[maxEvents-3].Time); len(list) != 3 {
		t.Errorf("%d events since the third from the end", len(list))
	}
}

func TestStatesOfAChild(t *testing.T) {
	var b Book
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for _, s := range []State{{at(0), "starting"}, {at(1), "active"}, {at(1), "active"}, {at(60), "backoff"}, {at(30), "active"}, {at(62), "active"}} {
		b.Is("default", s)
	}
	want := []State{{at(1), "active"}, {at(60), "backoff"}, {at(62), "active"}}
	if got := b.States("default", at(20)); !slices.Equal(got, want) {
		t.Errorf("since the 20th second: %v, want %v", got, want)
	}
	b.Only(nil, at(100))
	if got := b.States("default", at(90)); len(got) != 2 || got[1] != (State{Since: at(100)}) {
		t.Errorf("a child that is gone: %v", got)
	}
	b.Only(nil, at(100).Add(Kept+time.Second))
	if got := b.States("default", start); got != nil {
		t.Errorf("a child that is gone for an hour: %v", got)
	}
	for i := range 2 * maxStates {
		b.Is("loops", State{at(i), fmt.Sprint(i)})
	}
	if got := b.States("loops", start); len(got) != maxStates {
		t.Errorf("%d states are remembered", len(got))
	}
}

func TestCountsOfProcesses(t *testing.T) {
	var b Book
	key, now := Key{"p", "u"}, start
	count := func(process int, requests float64) Point {
		now = now.Add(Period)
		b.Count(process, now, map[Key]Totals{key: {Requests: requests, Failures: requests / 10, Answers: requests, Seconds: requests / 100}})
		return b.Points(key, now)[Slots-1]
	}
	for _, c := range []struct {
		process  int
		total    float64
		requests float32
	}{
		{1, 1000, 0}, // what was before is not known
		{1, 1010, 10},
		{1, 1010, 0},
		{2, 30, 30}, // another process begins with nothing
		{2, 40, 10},
		{3, 50, 50}, // also where it has counted more
	} {
		if p := count(c.process, c.total); !p.Known || p.Requests != c.requests || p.Failures != c.requests/10 || p.Answers != c.requests {
			t.Errorf("process %d with %v requests: %+v, want %v", c.process, c.total, p, c.requests)
		}
	}
	now = now.Add(3 * Period)
	list := b.Points(key, now)
	if list[Slots-1].Known || list[Slots-3].Known || !list[Slots-4].Known || list[Slots-4].Requests != 50 {
		t.Errorf("after a pause: %+v", list[Slots-5:])
	}
	now = now.Add(2 * Kept)
	if slices.ContainsFunc(b.Points(key, now), func(p Point) bool { return p.Known }) {
		t.Error("points are known after more than an hour")
	}
	b.Count(3, now, nil)
	if b.Points(key, now) != nil {
		t.Error("an upstream of which nothing was heard for an hour is still remembered")
	}
}

// TestLookThatWasLate: what was counted over several steps is no peak of the last one.
func TestLookThatWasLate(t *testing.T) {
	var b Book
	key := Key{"p", "u"}
	look := func(process int, at time.Duration, requests float64) []Point {
		b.Count(process, start.Add(at), map[Key]Totals{key: {Requests: requests}})
		return b.Points(key, start.Add(at))[Slots-6:]
	}
	requests := func(points []Point) (list []float32) {
		for _, p := range points {
			n := p.Requests
			if !p.Known {
				n = -1
			}
			list = append(list, n)
		}
		return list
	}
	look(1, 0, 100)
	if got := requests(look(1, 4*Period, 500)); !slices.Equal(got, []float32{-1, 0, 100, 100, 100, 100}) {
		t.Errorf("after four steps: %v", got)
	}
	if got := requests(look(1, 4*Period+time.Second, 510)); !slices.Equal(got, []float32{-1, 0, 100, 100, 100, 110}) {
		t.Errorf("twice in a step: %v", got)
	}
	if got := requests(look(2, 7*Period, 30)); !slices.Equal(got, []float32{100, 100, 110, -1, -1, 30}) {
		t.Errorf("another process, which may have begun just now: %v", got)
	}
	if got := b.Points(key, start.Add(7*Period)); got[Slots-8].Requests != 0 || got[0].Known {
		t.Errorf("before all that: %+v", got[:3])
	}
	late := look(2, 7*Period+Slots/2*Period, 30+Slots)
	if slices.ContainsFunc(late, func(p Point) bool { return !p.Known || p.Requests != 2 }) {
		t.Errorf("half an hour later: %+v", late)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	var b Book
	totals := make(map[Key]Totals)
	for i := range 2 * maxSeries {
		totals[Key{"p", fmt.Sprint(i)}] = Totals{}
	}
	b.Count(1, start, totals)
	if len(b.series) != maxSeries {
		t.Errorf("%d series", len(b.series))
	}
}

// TestAnotherProgramGoesOn with what this one remembers, and counts on from there.
func TestAnotherProgramGoesOn(t *testing.T) {
	var former, next Book
	key := Key{"p", "u"}
	former.Happened(Event{Time: start, Name: "e", Data: map[string]any{"n": "x"}})
	former.Is("default", State{start, "active"})
	former.Count(7, start, map[Key]Totals{key: {Requests: 100}})
	former.Count(7, start.Add(Period), map[Key]Totals{key: {Requests: 130, Answers: 30, Seconds: 3}})
	text, err := json.Marshal(&former)
	if err == nil {
		err = json.Unmarshal(text, &next)
	}
	if err != nil {
		t.Fatal(err)
	}
	now := start.Add(2 * Period)
	next.Count(7, now, map[Key]Totals{key: {Requests: 131, Answers: 31, Seconds: 4}})
	got := next.Points(key, now)[Slots-3:]
	if want := []Point{{Known: true}, {true, 30, 0, 30, 3}, {true, 1, 0, 1, 1}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if e := next.Events(time.Time{}); len(e) != 1 || !e[0].Time.Equal(start) || e[0].Data["n"] != "x" {
		t.Errorf("events %+v", e)
	}
	if s := next.States("default", start); len(s) != 1 || s[0].State != "active" || !s[0].Since.Equal(start) {
		t.Errorf("states %+v", s)
	}
}
