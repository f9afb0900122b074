// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"slices"
)

// Quantile is the value that a share q, from 0 to 1, of the values does not
// exceed, between two of them where it falls there. NaN when there is none.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// Median is the middle value, or the mean of the two in the middle.
func Median(values []float64) float64 { return Quantile(values, .5) }

// Summary is what several rounds say about one figure.
type Summary struct {
	N      int     `json:"n"`
	Median float64 `json:"median"`
	// Low and High are the quartiles, Min and Max the extremes.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// Summarize needs at least one value.
func Summarize(values []float64) Summary {
	return Summary{
		N: len(values), Median: Median(values),
		Low: Quantile(values, .25), High: Quantile(values, .75),
		Min: slices.Min(values), Max: slices.Max(values),
	}
}

// Ratios divides round by round, so that what slowed a whole round down slows
// both sides of a ratio. Rounds that one side lacks are left out.
func Ratios(values, reference []float64) []float64 {
	var ratios []float64
	for i := range min(len(values), len(reference)) {
		if reference[i] != 0 && !math.IsNaN(values[i]) && !math.IsNaN(reference[i]) {
			ratios = append(ratios, values[i]/reference[i])
		}
	}
	return ratios
}
