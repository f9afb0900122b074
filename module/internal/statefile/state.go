// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
)

// version is that of the format. A file of a later one is not read.
const version = 1

// State is what is kept, as JSON.
type State struct {
	// Children are what each child's pools have learnt, in the pieces in which
	// processes are told (package poolstate), by the child's name.
	Children map[string][]Piece `json:"children,omitempty"`
	// InDoubt are the last requests in doubt, oldest first.
	InDoubt []indoubt.Record `json:"in_doubt,omitempty"`
}

// Piece is a message of that topic.
type Piece struct {
	Topic string          `json:"topic"`
	Data  json.RawMessage `json:"data"`
}

// stored is the file's text. Version comes first for those who look into it.
type stored struct {
	Version int `json:"caddy_broker_state"`
	State
}

var errForeign = errors.New("it is no state of a broker")

func decode(data []byte) (State, error) {
	var head struct {
		Version *int `json:"caddy_broker_state"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return State{}, fmt.Errorf("%w: %w", errForeign, err)
	}
	switch {
	case head.Version == nil || *head.Version < 1:
		return State{}, errForeign
	case *head.Version > version:
		return State{}, fmt.Errorf("it is of version %d, this program reads version %d", *head.Version, version)
	}
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("%w: %w", errForeign, err)
	}
	return s.State, nil
}

func (s State) encode() ([]byte, error) { return json.Marshal(stored{version, s}) }
