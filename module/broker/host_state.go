// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/module/internal/handover"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/statefile"
)

// parentState is the state on disk, by which a parent goes on where one that died
// ended. The zero value keeps nothing.
type parentState struct {
	place string // where it is kept; "" is nowhere; guarded by host.turn

	mu     lockorder.Mutex[parentState]
	file   *statefile.File              // by mu; nil keeps nothing
	found  map[string][]statefile.Piece // by mu: of children that have not served yet
	frozen map[string][]statefile.Piece // by mu: of all children, once they are being stopped; else nil
}

// unsafeName is what the name of a file is kept free of.
var unsafeName = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// statePlace is where the state of a configuration is kept, as folder and name: the
// address of the admin endpoint, of which there is one on a system, tells brokers that
// have the same folder apart.
func (a *App) statePlace() (dir, name string) {
	dir = filepath.Join(caddy.AppDataDir(), "broker")
	if a.StateDir != nil {
		dir = *a.StateDir
	}
	if dir == "off" {
		return "", ""
	}
	return dir, unsafeName.ReplaceAllString(cmp.Or(a.AdminListen, "broker"), "_")
}

// follow keeps the state where a wants it. What is found there is what the children of
// this process begin with, and the list in doubt if it is empty.
func (s *parentState) follow(h *hostState, a *App) {
	dir, name := a.statePlace()
	place := filepath.Join(dir, name)
	s.mu.Lock()
	s.frozen = nil
	same := place == s.place && s.file != nil
	s.mu.Unlock()
	if same {
		return
	}
	first := s.place == ""
	h.generations.Keep("", nil) // what has changed is written, while the folder is this process's alone
	s.end()
	s.place = place
	if dir == "" {
		return
	}
	file, state, err := statefile.Open(dir, name, h.stateNow, func(err error) {
		a.logger.Warn("state of the broker", zap.Error(err))
	})
	if err != nil {
		a.logger.Warn("state of the broker is not kept: drains, the list in doubt and the generations end with this process", zap.Error(err))
		return
	}
	if s := handover.Received(); s != nil && first {
		state.InDoubt = s.InDoubt // the same, or newer
	}
	h.generations.Keep(filepath.Join(dir, name+".generations.json"), func(err error) { a.logger.Warn("state of the broker", zap.Error(err)) })
	for _, d := range state.InDoubt {
		h.doubts.Add(d)
	}
	s.mu.Lock()
	s.file, s.found = file, state.Children
	s.mu.Unlock()
	s.changed()
}

// of returns what was found of a child that begins.
func (s *parentState) of(child string) []statefile.Piece {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found[child]
}

// begun says that a child serves, and that what it has learnt counts from now on.
func (s *parentState) begun(child string) {
	s.mu.Lock()
	delete(s.found, child)
	s.mu.Unlock()
	s.changed()
}

// changed makes the state be written soon.
func (s *parentState) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Changed()
	}
}

// freeze keeps what is known of all children while they are stopped one after another.
func (s *parentState) freeze(h *hostState) {
	children := h.stateNow().Children
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = children
}

// end writes what has changed, and keeps nothing from then on.
func (s *parentState) end() {
	s.mu.Lock()
	file := s.file
	s.file, s.found = nil, nil
	s.mu.Unlock()
	if file != nil {
		file.Close()
	}
}

// statePieces are what is kept of each child: what operators decided and what was
// learnt of backends, without the clients that were moved, who are many and come home.
func (h *hostState) statePieces() map[string][]statefile.Piece {
	children := make(map[string][]statefile.Piece)
	for name, c := range h.list() {
		for topic, piece := range c.pools.pieces() {
			if topic == parlance.TopicMoved {
				continue
			}
			if data, err := json.Marshal(piece); err == nil {
				children[name] = append(children[name], statefile.Piece{Topic: topic, Data: data})
			}
		}
	}
	return children
}

// stateNow is what is to be written.
func (h *hostState) stateNow() statefile.State {
	state := statefile.State{Children: h.statePieces(), InDoubt: h.doubts.List()}
	s := &h.state
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(state.Children, s.found)
	if s.frozen != nil {
		state.Children = s.frozen
	}
	return state
}
