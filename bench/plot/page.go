// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// table is one of a page: the first below its heading.
type table struct {
	title   string
	columns []string // the first one names the rows and has no name
	rows    [][]string
}

// tables returns the tables of a page in Markdown, by their headings.
func tables(page string) []table {
	var list []table
	title, inside := "", false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if heading := strings.TrimLeft(line, "#"); heading != line {
			title, inside = strings.TrimSpace(heading), false
			continue
		}
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !inside:
			inside = true
			list = append(list, table{title: title, columns: cells})
		case strings.HasPrefix(cells[0], "--"):
		default:
			last := &list[len(list)-1]
			last.rows = append(last.rows, cells)
		}
	}
	return list
}

// find returns the first table below a heading.
func find(list []table, title string) (*table, error) {
	i := slices.IndexFunc(list, func(t table) bool { return t.title == title })
	if i < 0 {
		return nil, fmt.Errorf("the page has no table %q", title)
	}
	return &list[i], nil
}

// leading matches the median with which a cell of a measurement begins.
var leading = regexp.MustCompile(`^\d+(\.\d+)?`)

// sum adds the medians of a row in some columns; ok is false if one has none.
func (t *table) sum(row []string, columns []string) (total float64, ok bool, err error) {
	for _, column := range columns {
		i := slices.Index(t.columns, column)
		if i < 0 {
			return 0, false, fmt.Errorf("table %q has no column %q", t.title, column)
		}
		if i >= len(row) {
			return 0, false, fmt.Errorf("table %q: row %q ends before column %q", t.title, row[0], column)
		}
		text := leading.FindString(row[i])
		if text == "" {
			return 0, false, nil
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, false, fmt.Errorf("table %q, %q of %q: %w", t.title, column, row[0], err)
		}
		total += value
	}
	return total, true, nil
}
