// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// drawStatus draws an overview: the answer first, then the reasons, then the tables.
func drawStatus(w io.Writer, o *overview.Overview, now time.Time) error {
	var out strings.Builder
	out.WriteString(wrapped("", 2, cell(o.Summary)))
	drawVerdict(&out, o.Verdict)
	said := reasons(o.Verdict)
	if len(o.Children) > 0 {
		if err := drawChildren(&out, o.Children, said, now); err != nil {
			return err
		}
	}
	if err := drawPools(&out, o.Pools, said, now); err != nil {
		return err
	}
	if about := about(o, now); about != "" {
		out.WriteString("\n" + wrapped("", 2, cell(about)))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// reasons are the texts of a verdict that say why: what stands there is not said again.
func reasons(v overview.Verdict) string {
	list := slices.Clone(v.Notes)
	for _, p := range v.Problems {
		list = append(list, p.Why)
	}
	return strings.Join(list, "\n")
}

// drawVerdict draws what is not all right, and what is worth knowing besides.
func drawVerdict(out *strings.Builder, v overview.Verdict) {
	if len(v.Problems)+len(v.Notes) > 0 {
		out.WriteByte('\n')
	}
	for i, p := range v.Problems {
		if i > 0 || len(v.Problems) > 1 { // the first line has the only one
			out.WriteString(wrapped(fmt.Sprintf("%-8s", p.Severity), 8, cell(p.Text)))
		}
		for _, line := range []struct{ name, text string }{{"why", p.Why}, {"next", p.Next}} {
			if line.text != "" {
				out.WriteString(wrapped(fmt.Sprintf("  %-6s", line.name), 8, cell(line.text)))
			}
		}
	}
	for _, note := range v.Notes {
		out.WriteString(wrapped("note    ", 8, cell(note)))
	}
}

// drawChildren draws the table of children and their processes.
func drawChildren(out *strings.Builder, list []*supervisor.Status, said string, now time.Time) error {
	var table strings.Builder
	tw := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "CHILD\tSTATE\tPID\tSINCE\tHEARTBEAT\tSTANDBYS\tRESTARTS")
	var ended []string
	for _, c := range list {
		standbys := "-"
		if s := c.Standby; s != nil && s.Wanted > 0 {
			standbys = fmt.Sprintf("%d of %d", s.Ready, s.Wanted)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", cell(c.Name), cell(c.State), pid(c.Pid), ago(now.Sub(c.Since)),
			heartbeat(overview.Active(c), now), standbys, c.Restarts)
		for i, p := range c.Processes {
			if p.Pid != c.Pid {
				fmt.Fprintf(tw, "  process\t%s\t%s\t%s\t%s\t\t\n", p.State, pid(p.Pid), ago(now.Sub(p.Started)), heartbeat(&c.Processes[i], now))
			}
		}
		for _, end := range []struct {
			what string
			*exits.Exit
		}{{"exit", c.LastExit}, {"crash", c.LastFailure}} {
			if end.Exit != nil && !strings.Contains(said, overview.Ended(end.Exit)) {
				ended = append(ended, fmt.Sprintf("last %s of %s, %s ago: %s", end.what, c.Name, ago(now.Sub(end.At)), overview.Ended(end.Exit)))
			}
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	out.WriteByte('\n')
	for row := range strings.Lines(table.String()) {
		out.WriteString(strings.TrimRight(row, " \n") + "\n")
	}
	for _, exit := range ended {
		out.WriteString(wrapped("", 2, cell(exit)))
	}
	return nil
}

func pid(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// heartbeat is how long ago a process gave a sign of life.
func heartbeat(p *supervisor.ProcessStatus, now time.Time) string {
	if p == nil || p.LastHeartbeat == nil {
		return "-"
	}
	return ago(now.Sub(*p.LastHeartbeat)) + " ago"
}

// about is what is to be said of the broker as a whole.
func about(o *overview.Overview, now time.Time) string {
	var list []string
	if r := o.Reload; r != nil {
		text := "last reload " + ago(now.Sub(r.At)) + " ago: " + strings.ReplaceAll(r.Result, "_", " ")
		if r.Serving != nil && r.Result != overview.Served {
			text += ", the configuration of " + ago(now.Sub(*r.Serving)) + " ago serves"
		}
		list = append(list, text)
	}
	if d := o.InDoubt; d != nil {
		list = append(list, fmt.Sprintf("%d in doubt", d.Requests))
	}
	if o.Version != "" {
		list = append(list, o.Version)
	}
	return strings.Join(list, "; ")
}

// ago is a duration as an operator reads it.
func ago(d time.Duration) string { return overview.Span(d) }

// count is a number with the word for it.
func count(n int, one, many string) string { return overview.Count(n, one, many) }
