// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Unit says how a value is written.
type Unit string

// The units.
const (
	Count        Unit = ""
	Milliseconds Unit = "ms"
	Microseconds Unit = "µs"
	Nanoseconds  Unit = "ns"
	MiB          Unit = "MiB"
	PerSecond    Unit = "/s"
	Ratio        Unit = "×"
)

// Value is one figure of one round.
type Value struct {
	Column string
	Unit   Unit
	Value  float64
	// Compare asks for the ratio to the best peer. Less is better, except per
	// second.
	Compare bool
}

// Table gathers the rounds of one scenario. The zero value with Title is ready.
type Table struct {
	Title string
	About string // a paragraph below the title
	// Figure is what is to be reached, in words; may be empty.
	Figure string

	columns []column
	rows    []*row
	notes   []string
}

type column struct {
	name    string
	unit    Unit
	compare bool
}

type row struct {
	name   string
	peer   bool
	values map[string][]float64 // by column; NaN for a round without it
	rounds int
}

// Row makes a row known, so that rows keep the order of their first mention.
func (t *Table) Row(name string, peer bool) { t.row(name, peer) }

func (t *Table) row(name string, peer bool) *row {
	for _, r := range t.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name, peer: peer, values: map[string][]float64{}}
	t.rows = append(t.rows, r)
	return r
}

// Add adds a round of a row, which may be empty when it failed.
func (t *Table) Add(name string, peer bool, values []Value) {
	r := t.row(name, peer)
	for _, v := range values {
		if !slices.ContainsFunc(t.columns, func(c column) bool { return c.name == v.Column }) {
			t.columns = append(t.columns, column{v.Column, v.Unit, v.Compare})
		}
		for len(r.values[v.Column]) < r.rounds {
			r.values[v.Column] = append(r.values[v.Column], math.NaN())
		}
		r.values[v.Column] = append(r.values[v.Column], v.Value)
	}
	r.rounds++
}

// Note adds a sentence below the table, once.
func (t *Table) Note(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(t.notes, note) {
		t.notes = append(t.notes, note)
	}
}

// Ratio is one row divided by another in a column, round by round; false when no
// round has both.
func (t *Table) Ratio(name, reference, column string) (Summary, bool) {
	of := func(name string) []float64 {
		for _, r := range t.rows {
			if r.name == name {
				return r.values[column]
			}
		}
		return nil
	}
	ratios := Ratios(of(name), of(reference))
	if len(ratios) == 0 {
		return Summary{}, false
	}
	return Summarize(ratios), true
}

func (r *row) known(column string) []float64 {
	return slices.DeleteFunc(slices.Clone(r.values[column]), math.IsNaN)
}

// best is the best median of the peers in a column; false when there is none.
func (t *Table) best(c column) (float64, bool) {
	var medians []float64
	for _, r := range t.rows {
		if values := r.known(c.name); r.peer && len(values) > 0 {
			medians = append(medians, Median(values))
		}
	}
	if len(medians) == 0 {
		return 0, false
	}
	if c.unit == PerSecond {
		return slices.Max(medians), true
	}
	return slices.Min(medians), true
}

// Markdown is the table as text that may stand in a document.
func (t *Table) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.Title)
	if t.About != "" {
		fmt.Fprintf(&b, "%s\n\n", t.About)
	}
	if t.Figure != "" {
		fmt.Fprintf(&b, "To reach: %s.\n\n", t.Figure)
	}
	b.WriteString("| |")
	for _, c := range t.columns {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("--:|", len(t.columns)) + "\n")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |", r.name)
		for _, c := range t.columns {
			fmt.Fprintf(&b, " %s |", t.cell(r, c))
		}
		b.WriteString("\n")
	}
	for _, note := range t.notes {
		fmt.Fprintf(&b, "\n%s\n", note)
	}
	return b.String()
}

func (t *Table) cell(r *row, c column) string {
	values := r.known(c.name)
	if len(values) == 0 {
		return "–"
	}
	s := Summarize(values)
	text := number(s.Median, c.unit)
	if s.Min != s.Max {
		text += " (" + number(s.Min, Count) + " to " + number(s.Max, Count) + ")"
	}
	if best, ok := t.best(c); ok && c.compare && best != 0 {
		text += ", ×" + number(s.Median/best, Count)
	}
	if len(values) < r.rounds {
		text += fmt.Sprintf(", %d of %d rounds", len(values), r.rounds)
	}
	return text
}

// number writes three digits that matter, and whole numbers whole.
func number(v float64, unit Unit) string {
	digits := 2
	switch size := math.Abs(v); {
	case v == math.Trunc(v) || size >= 100:
		digits = 0
	case size >= 10:
		digits = 1
	case unit == Ratio:
		digits = 3
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	switch unit {
	case Count, Ratio:
		return text
	case PerSecond:
		return text + string(unit)
	}
	return text + " " + string(unit)
}
