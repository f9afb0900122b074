// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import "encoding/json"

// MarshalJSON writes every value of every round beside the summaries.
func (t *Table) MarshalJSON() ([]byte, error) {
	type figure struct {
		Column string `json:"column"`
		Unit   Unit   `json:"unit,omitempty"`
		Summary
		Values []float64 `json:"values"`
	}
	type line struct {
		Name    string   `json:"name"`
		Peer    bool     `json:"peer"`
		Rounds  int      `json:"rounds"`
		Figures []figure `json:"figures"`
	}
	lines := []line{}
	for _, r := range t.rows {
		l := line{Name: r.name, Peer: r.peer, Rounds: r.rounds, Figures: []figure{}}
		for _, c := range t.columns {
			if values := r.known(c.name); len(values) > 0 {
				l.Figures = append(l.Figures, figure{c.name, c.unit, Summarize(values), values})
			}
		}
		lines = append(lines, l)
	}
	return json.Marshal(struct {
		Title  string   `json:"title"`
		About  string   `json:"about,omitempty"`
		Figure string   `json:"figure,omitempty"`
		Rows   []line   `json:"rows"`
		Notes  []string `json:"notes,omitempty"`
	}{t.Title, t.About, t.Figure, lines, t.notes})
}
