// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// maxURI is how wide an upstream may be, so that its row has room for the rest.
const maxURI = 36

// drawPools draws the tables of pools, without the errors that were said before.
func drawPools(w io.Writer, list []report.PoolStatus, said string, now time.Time) error {
	var out strings.Builder
	for _, p := range list {
		if err := drawPool(&out, p, said, now); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func drawPool(out *strings.Builder, p report.PoolStatus, said string, now time.Time) error {
	out.WriteString("\n" + wrapped("", 2, "POOL "+cell(p.Name)+": "+poolLine(p, now)))
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "UPSTREAM\tSTATE\tSINCE\tNOW\tTOTAL\tFAILED")
	above, below := []string{""}, []string{""} // of each row, the one of the titles first
	for _, u := range p.Upstreams {
		uri, before, after := cell(u.URI), "", ""
		if utf8.RuneCountInString(uri) > maxURI {
			uri, before = "", wrapped("", 2, uri)
		}
		if text := notes(u, said, now); text != "" {
			after = wrapped("  ", 2, cell(text))
		}
		since := u.Since
		if u.Drained != nil {
			since = u.Drained.Since
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%d\n", uri, cell(u.State), ago(now.Sub(since)), u.Requests, u.Total, u.Failed)
		above, below = append(above, before), append(below, after)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	i := 0
	for row := range strings.Lines(table.String()) {
		out.WriteString(above[i] + row + below[i])
		i++
	}
	return nil
}

// poolLine is the state of a pool as a whole.
func poolLine(p report.PoolStatus, now time.Time) string {
	text := cell(p.State)
	if p.NextAttempt != nil {
		text += ", next attempt in " + ago(p.NextAttempt.Sub(now))
	}
	if p.FailedPasses > 0 {
		text += ", " + count(p.FailedPasses, "pass", "passes") + " failed"
	}
	text += fmt.Sprintf(", %d waiting, %s", p.Waiting, count(int(p.Failovers), "failover", "failovers"))
	if !p.CountedSince.IsZero() { // each process counts for itself
		text += " in the last " + ago(now.Sub(p.CountedSince))
	}
	return text
}

// notes are what is worth knowing of a backend besides.
func notes(u report.UpstreamStatus, said string, now time.Time) string {
	var list []string
	add := func(s string) { list = append(list, s) }
	if u.Priority {
		add("priority")
	}
	if u.Drained != nil {
		add("drained by " + u.Drained.By)
	}
	if u.Pushed {
		add("pushed")
	}
	if u.Manual {
		add("manual failover")
	}
	if u.Backup != "" {
		add("backup " + u.Backup)
	}
	if u.NextProbe != nil && u.State != "up" {
		add("next probe in " + ago(u.NextProbe.Sub(now)))
	}
	if u.LastError != "" && u.State != "up" && !strings.Contains(said, u.LastError) {
		text := u.LastError
		if u.LastErrorAt != nil {
			text += " (" + ago(now.Sub(*u.LastErrorAt)) + " ago)"
		}
		add(text)
	}
	return strings.Join(list, ", ")
}
