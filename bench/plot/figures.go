// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// figure is one picture: panels of bars, one below the other.
type figure struct {
	file, title, about string
	unit               string
	panels             []source
}

// source says which figures a panel shows: the sum of some columns of a table.
type source struct {
	title, table string
	columns      []string
}

// figures are the pictures of docs/performance.md.
var figures = []figure{
	{
		file: "gap.svg", title: "Longest gap when the process that serves is killed", unit: "ms",
		about: "Time without an answered request, GET on new connections; less is better. Medians.",
		panels: []source{
			{"killed with SIGKILL", "Worker killed with SIGKILL", []string{"longest gap"}},
		},
	},
	{
		file: "lost.svg", title: "Requests lost in each fault",
		about: "Failed for the client; less is better. Medians, added up where a fault was measured in several ways.",
		panels: []source{
			{"the process that serves is killed", "Worker killed with SIGKILL", []string{"refused", "reset or cut", "error answer", "timed out"}},
			{"40 reloads, over five kinds of connections", "40 reloads", []string{"kept connections", "new connections", "TLS, kept", "TLS, new", "HTTP/2"}},
			{"a backend is killed, GET and POST", "Backend killed", []string{"GET failed", "POST failed"}},
			{"a backend hangs: of 20 slow answers of healthy ones", "Backend hangs", []string{"3 s answers lost, of 20"}},
			{"a backend accepts and closes, GET and POST", "Backend accepts and closes", []string{"GET failed", "POST failed"}},
			{"all backends are down for 2 s", "All backends down, one returns", []string{"failed, outage of 2s"}},
		},
	},
	{
		file: "time.svg", title: "Processor time of a request", unit: "µs",
		about: "Over 32 connections; less is better. Medians.",
		panels: []source{
			{"HTTP/1.1", "Cost of a request, HTTP/1.1", []string{"processor time, 32 connections"}},
			{"HTTP/1.1 over TLS", "Cost of a request, HTTP/1.1 over TLS", []string{"processor time, 32 connections"}},
			{"HTTP/2", "Cost of a request, HTTP/2", []string{"processor time, 32 connections"}},
		},
	},
}

// notShown are rows that compare within one program.
var notShown = []string{"caddy-broker, lb_policy first"}

// panel is a group of bars with one scale.
type panel struct {
	title string
	bars  []bar
}

type bar struct {
	name  string
	value float64
	ours  bool
}

// collect reads the panels of a figure from the tables of a page.
func (f *figure) collect(list []table) ([]panel, error) {
	var panels []panel
	for _, s := range f.panels {
		t, err := find(list, s.table)
		if err != nil {
			return nil, err
		}
		p := panel{title: s.title}
		for _, row := range t.rows {
			if slices.Contains(notShown, row[0]) {
				continue
			}
			value, ok, err := t.sum(row, s.columns)
			if err != nil {
				return nil, err
			}
			if ok {
				p.bars = append(p.bars, bar{row[0], value, strings.HasPrefix(row[0], "caddy-broker")})
			}
		}
		if len(p.bars) == 0 {
			return nil, fmt.Errorf("table %q has no value in %q", s.table, s.columns)
		}
		panels = append(panels, p)
	}
	return panels, nil
}

// pictures draws all figures of a page, by their file names.
func pictures(page string) (map[string]string, error) {
	list := tables(page)
	drawn := make(map[string]string, len(figures))
	for _, f := range figures {
		panels, err := f.collect(list)
		if err != nil {
			return nil, fmt.Errorf("drawing %s: %w", f.file, err)
		}
		drawn[f.file] = draw(&f, panels)
	}
	return drawn, nil
}

// number writes a value as the tables do.
func number(v float64, unit string) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if unit != "" {
		text += " " + unit
	}
	return text
}

// Command draws the pictures of a page into a folder.
func Command(args []string, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: go run ./bench plot PAGE FOLDER, such as docs/performance.md docs/images")
	}
	page, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	drawn, err := pictures(string(page))
	if err != nil {
		return err
	}
	for _, f := range figures {
		path := filepath.Join(args[1], f.file)
		if err := os.WriteFile(path, []byte(drawn[f.file]), 0o644); err != nil { //nolint:gosec // a picture of a page
			return err
		}
		fmt.Fprintln(out, path)
	}
	return nil
}
