// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// kept is what a book has, for the program that takes this one's place.
type kept struct {
	Events  []Event            `json:"events,omitempty"`
	States  map[string][]State `json:"states,omitempty"`
	Process int                `json:"process,omitempty"`
	Series  []keptSeries       `json:"series,omitempty"`
}

// keptSeries are the steps of one key of which something is known.
type keptSeries struct {
	Key
	Last   Totals      `json:"last"`
	Step   int64       `json:"step"`
	Points []keptPoint `json:"points,omitempty"`
}

// keptPoint is a step, by how many steps it is before the newest one.
type keptPoint struct {
	Before int64 `json:"before"`
	Point
}

// MarshalJSON has all that is remembered.
func (b *Book) MarshalJSON() ([]byte, error) {
	b.mu.Lock()
	k := kept{Events: slices.Clone(b.events), States: maps.Clone(b.states), Process: b.process}
	for name, list := range k.States {
		k.States[name] = slices.Clone(list)
	}
	for key, s := range b.series {
		ks := keptSeries{Key: key, Last: s.last, Step: s.step}
		for before := range int64(Slots) {
			if p := s.points[(s.step-before)%Slots]; p.Known {
				ks.Points = append(ks.Points, keptPoint{before, p})
			}
		}
		k.Series = append(k.Series, ks)
	}
	b.mu.Unlock()
	return json.Marshal(k)
}

// UnmarshalJSON goes on with what another book has remembered. It is meant for an empty one.
func (b *Book) UnmarshalJSON(text []byte) error {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return fmt.Errorf("reading the history of the last hour: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events, b.process = k.Events[max(0, len(k.Events)-maxEvents):], k.Process
	b.states = make(map[string][]State)
	for name, list := range k.States {
		if len(list) > 0 {
			b.states[name] = list[max(0, len(list)-maxStates):]
		}
	}
	b.series = make(map[Key]*series)
	for _, ks := range k.Series[:min(len(k.Series), maxSeries)] {
		s := &series{last: ks.Last, step: max(ks.Step, Slots)}
		for _, p := range ks.Points {
			if p.Before >= 0 && p.Before < Slots {
				s.points[(s.step-p.Before)%Slots] = p.Point
			}
		}
		b.series[ks.Key] = s
	}
	return nil
}
