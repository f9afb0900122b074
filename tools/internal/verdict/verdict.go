// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Outcome is what a suite said of one case.
type Outcome struct {
	Passed bool
	// Text is what the suite printed for it.
	Text string
}

// Results are the outcomes of one run of a suite, by the name of the case.
type Results map[string]Outcome

// Failed returns the names of the cases that failed, in order.
func (r Results) Failed() []string {
	var failed []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if !r[name].Passed {
			failed = append(failed, name)
		}
	}
	return failed
}

// Known is a difference to stock that is documented.
type Known struct {
	// Ways are those in which it is seen.
	Ways []string
	// Case is its name; a final * stands for anything.
	Case string
	// Text is part of what the suite prints for it, so that another fault of the
	// same case is not taken for this one.
	Text string
	// Reason says why it is right as it is.
	Reason string
}

func (k Known) explains(way, name, text string) bool {
	prefix, open := strings.CutSuffix(k.Case, "*")
	return slices.Contains(k.Ways, way) && (name == k.Case || open && strings.HasPrefix(name, prefix)) &&
		strings.Contains(text, k.Text)
}

// Suite runs single cases again.
type Suite struct {
	Known []Known
	// Again runs one case alone a few times and says how often it failed. The way
	// "" is stock.
	Again func(way, name string) (failed, runs int, err error)
}

// Difference is a case that fails in a way and not in stock.
type Difference struct {
	Way, Case string
	// Here and Stock are how often it failed when it was run again alone.
	Here, Stock Count
	// Reason is why, for one that is documented.
	Reason string
	// Unsteady is set if stock fails the case too, now and then.
	Unsteady bool
}

// Count is a number of failures among a number of runs.
type Count struct{ Failed, Runs int }

func (c Count) String() string {
	if c.Runs == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", c.Failed, c.Runs)
}

// Fault reports whether nothing explains the difference.
func (d Difference) Fault() bool { return d.Reason == "" && !d.Unsteady }

// Compare lists what fails in the way and not in stock. A case of stock that the
// way did not run is such a case.
func (s Suite) Compare(way string, stock, here Results) ([]Difference, error) {
	var found []Difference
	for _, name := range slices.Sorted(maps.Keys(stock)) {
		outcome := here[name]
		if !stock[name].Passed || outcome.Passed {
			continue
		}
		d := Difference{Way: way, Case: name}
		for _, k := range s.Known {
			if k.explains(way, name, outcome.Text) {
				d.Reason = k.Reason
				break
			}
		}
		if d.Reason == "" {
			if err := s.again(&d); err != nil {
				return nil, err
			}
		}
		found = append(found, d)
	}
	return found, nil
}

// again runs a case in both, and sees whether stock is steady there.
func (s Suite) again(d *Difference) (err error) {
	if d.Here.Failed, d.Here.Runs, err = s.Again(d.Way, d.Case); err != nil {
		return fmt.Errorf("running %s again, %s: %w", d.Case, d.Way, err)
	}
	if d.Stock.Failed, d.Stock.Runs, err = s.Again("", d.Case); err != nil {
		return fmt.Errorf("running %s again in stock: %w", d.Case, err)
	}
	d.Unsteady = d.Stock.Failed > 0
	return nil
}

// Print writes the differences as a table, and returns how many are faults.
func Print(w io.Writer, found []Difference) (faults int) {
	if len(found) == 0 {
		fmt.Fprintln(w, "no differences to stock")
		return 0
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "way\tcase\tfails again\tin stock\tverdict")
	for _, d := range found {
		verdict := "FAULT"
		switch {
		case d.Reason != "":
			verdict = "documented: " + d.Reason
		case d.Unsteady:
			verdict = "not steady in stock either"
		default:
			faults++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", d.Way, d.Case, d.Here, d.Stock, verdict)
	}
	_ = table.Flush()
	return faults
}
