// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"encoding/json"
	"slices"
	"time"
)

// View is what is shown of the list, without secrets, the newest first.
type View struct {
	Generations []Shown `json:"generations"`
	// Refused are the configurations that were found not to serve well and are started
	// only if that is asked for.
	Refused []Refused `json:"refused"`
}

// Shown is a generation without its configuration.
type Shown struct {
	Number  int       `json:"number"`
	Since   time.Time `json:"since"`
	By      string    `json:"by"`
	File    string    `json:"file,omitempty"`
	Digest  string    `json:"digest"`
	Serving bool      `json:"serving,omitempty"`
	// Difference is what has changed from the one before, as a unified difference of the
	// configuration as JSON; secrets stand there as numbers, the same for the same.
	Difference string `json:"difference,omitempty"`
}

// View is the list as it is now.
func (s *Store) View() View {
	s.mu.Lock()
	list, refused := slices.Clone(s.list), slices.Clone(s.refused)
	s.mu.Unlock()
	v := View{Generations: []Shown{}, Refused: append([]Refused{}, refused...)}
	for i, g := range slices.Backward(list) {
		shown := Shown{Number: g.Number, Since: g.Since, By: g.By, File: g.File, Digest: g.Digest, Serving: i == len(list)-1}
		if i > 0 {
			shown.Difference = difference(list[i-1].Config, g.Config)
		}
		v.Generations = append(v.Generations, shown)
	}
	slices.Reverse(v.Refused)
	return v
}

// difference is that of two configurations, with their secrets masked.
func difference(before, after []byte) string {
	var m mask
	return unified(m.lines(before), m.lines(after))
}

// lines are those of a configuration, masked.
func (m *mask) lines(config []byte) []string {
	var value any
	if json.Unmarshal(config, &value) != nil {
		return nil
	}
	text, err := json.MarshalIndent(m.value(value, false), "", "\t")
	if err != nil {
		return nil
	}
	return splitLines(text)
}
