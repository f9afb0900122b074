// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{[]float64{7}, .5, 7},
		{[]float64{3, 1, 2}, .5, 2},
		{[]float64{4, 1, 3, 2}, .5, 2.5},
		{[]float64{5, 4, 3, 2, 1}, .25, 2},
		{[]float64{1, 2}, 0, 1},
		{[]float64{1, 2}, 1, 2},
	} {
		if got := Quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("Quantile(%v, %v) = %v, want %v", tt.values, tt.q, got, tt.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

func TestMedianHasHalfOnEachSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 50).Draw(t, "values")
		before := slices.Clone(values)
		m := Median(values)
		var below, above int
		for _, v := range values {
			if v < m {
				below++
			} else if v > m {
				above++
			}
		}
		if below > len(values)/2 || above > len(values)/2 {
			t.Fatalf("median %v of %v: %d below, %d above", m, values, below, above)
		}
		if !slices.Equal(before, values) {
			t.Fatal("the values were put into another order")
		}
	})
}

func TestRatiosAreByRound(t *testing.T) {
	nan := math.NaN()
	got := Ratios([]float64{2, 9, nan, 4, 5}, []float64{1, 3, 2, nan, 0})
	if want := []float64{2, 3}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func sample() *Table {
	t := &Table{Title: "Backend killed", Figure: "a gap of at most 10 ms"}
	t.Row("ours", false)
	t.Row("absent", true)
	for i := range 3 {
		t.Add("peer a", true, []Value{{"gap", Milliseconds, 20, true}, {"rate", PerSecond, 100, true}})
		t.Add("ours", false, []Value{{"gap", Milliseconds, 4.5 + float64(i), true}, {"rate", PerSecond, 150, true}})
		if i == 1 {
			t.Add("peer b", true, nil)
			continue
		}
		t.Add("peer b", true, []Value{{"gap", Milliseconds, 11, true}, {"lost", Count, 3, false}})
	}
	t.Note("a note")
	t.Note("a note")
	return t
}

func TestMarkdown(t *testing.T) {
	want := `### Backend killed

To reach: a gap of at most 10 ms.

| | gap | rate | lost |
|---|--:|--:|--:|
| ours | 5.50 ms (4.50 to 6.50), ×0.50 | 150/s, ×1.50 | – |
| absent | – | – | – |
| peer a | 20 ms, ×1.82 | 100/s, ×1 | – |
| peer b | 11 ms, ×1, 2 of 3 rounds | – | 3, 2 of 3 rounds |

a note
`
	if got := sample().Markdown(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestJSONHasEveryValue(t *testing.T) {
	text, err := json.Marshal(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"values":[4.5,5.5,6.5]`, `"median":5.5`, `"rounds":3`, `"name":"absent"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		v    float64
		unit Unit
		want string
	}{
		{0, Count, "0"},
		{0.123, Milliseconds, "0.12 ms"},
		{12.345, Milliseconds, "12.3 ms"},
		{2140.4, Milliseconds, "2140 ms"},
		{1.0284, Ratio, "1.028"},
		{5120.7, PerSecond, "5121/s"},
	} {
		if got := number(tt.v, tt.unit); got != tt.want {
			t.Errorf("number(%v, %q) = %q, want %q", tt.v, tt.unit, got, tt.want)
		}
	}
}
