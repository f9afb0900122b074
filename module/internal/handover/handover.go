// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package handover carries a running parent from one program to another in the same
// process: what it knows goes through a file that has no name any more, what it holds
// stays open over the execution of the new program.
package handover

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/statefile"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// format is that of a State. One of a later format is not read.
const format = 1

// State is what the next program goes on with.
type State struct {
	Format int `json:"caddy_broker_handover"`
	// From is the version of the program that hands over, and At when it did.
	From string    `json:"from"`
	At   time.Time `json:"at"`
	// Config is the parent's configuration.
	Config json.RawMessage `json:"config"`
	// Children are those that run, by name.
	Children map[string]*Child `json:"children,omitempty"`
	// InDoubt are the last requests in doubt, oldest first.
	InDoubt []indoubt.Record `json:"in_doubt,omitempty"`
	// Past is what there is to tell of the time before.
	Past Past `json:"past,omitzero"`
}

// Child is one child with what the parent keeps of it.
type Child struct {
	*supervisor.Handover
	// Pools are what its pools have learnt, in pieces, and Serving the process of which
	// that is.
	Pools   []statefile.Piece `json:"pools,omitempty"`
	Serving int               `json:"serving"`
	// Plain are the sockets on which it speaks plain HTTP.
	Plain []string `json:"plain,omitempty"`
	// Cut counts the unsafe requests that its ends have cut off.
	Cut uint64 `json:"cut,omitempty"`
	// Dirs are the directories of its private admin sockets, by user.
	Dirs map[string]sockets.HandedDir `json:"dirs,omitempty"`
}

var errForeign = errors.New("it is no state of a broker")

// read reads a state that was written to a file.
func read(r io.Reader) (*State, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("reading the state that is handed over: %w", err)
	}
	var head struct {
		Format *int `json:"caddy_broker_handover"`
	}
	err = json.Unmarshal(data, &head)
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", errForeign, err)
	case head.Format == nil:
		err = errForeign
	case *head.Format > format:
		err = fmt.Errorf("it is of format %d, this program reads format %d", *head.Format, format)
	}
	s := new(State)
	if err == nil {
		err = json.Unmarshal(data, s)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state that is handed over: %w", err)
	}
	return s, nil
}

// write writes the state into a file without a name, which is the caller's.
func (s *State) write() (_ *os.File, err error) {
	s.Format, s.From = format, Version()
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("writing the state to hand over: %w", err)
	}
	file, err := nameless()
	if err != nil {
		return nil, fmt.Errorf("writing the state to hand over: %w", err)
	}
	if _, err = file.Write(data); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("writing the state to hand over: %w", err)
	}
	return file, nil
}

// modulePath is this module's.
const modulePath = "github.com/caddy-broker/caddy-broker"

// release is the version of a released program, which the linker sets (see packaging/release);
// elsewhere it is empty.
var release string

// Version is that of this program: of the plugin, and of the Caddy that it is part of.
func Version() string {
	plugin := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == modulePath && m.Version != "" {
				plugin = m.Version
			}
		}
	}
	of, _ := caddy.Version()
	of = cmp.Or(caddy.CustomVersion, of)
	return fmt.Sprintf("caddy-broker %s, Caddy %s", cmp.Or(release, plugin), of)
}
