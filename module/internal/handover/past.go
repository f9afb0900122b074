// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import "encoding/json"

// Past is what a program remembers of the time before: it serves those who look, and nothing
// depends on it.
type Past struct {
	// History is what happened in the last hour, and Events are those for watchers that
	// come back.
	History json.RawMessage `json:"history,omitempty"`
	Events  json.RawMessage `json:"events,omitempty"`
	// Reload is how the last load ended.
	Reload json.RawMessage `json:"reload,omitempty"`
}

// PastOf is what they remember; what cannot be written is forgotten.
func PastOf(history, events json.Marshaler, reload any) (p Past) {
	p.History, _ = json.Marshal(history)
	p.Events, _ = json.Marshal(events)
	p.Reload, _ = json.Marshal(reload)
	return p
}

// Restore has them go on with it; what cannot be read is forgotten.
func (p Past) Restore(history, events json.Unmarshaler, reload any) {
	if p.History != nil {
		_ = json.Unmarshal(p.History, history)
	}
	if p.Events != nil {
		_ = json.Unmarshal(p.Events, events)
	}
	if p.Reload != nil {
		_ = json.Unmarshal(p.Reload, reload)
	}
}
