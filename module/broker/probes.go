// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/generations"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// proveTime is what a process gets, beside the operator's probes, to say whether it would
// serve: it may wait for certificates and for backends.
const proveTime = 15 * time.Second

// prove says in s what a new process has to prove before it serves, and afterwards again and
// again. A probe that may change something is sent once.
func (a *App) prove(s *supervisor.Spec) error {
	list := a.Probes
	if list == nil {
		list = []probe.Probe{}
	}
	longest := time.Duration(0)
	for i := range list {
		longest = max(longest, list[i].Limit())
	}
	var err error
	s.Prove, err = json.Marshal(list)
	s.ProveTimeout = proveTime + longest
	s.Probation = defaultProbation
	if a.Probation != nil {
		s.Probation = time.Duration(*a.Probation)
	}
	if a.ProbationErrors != "" {
		if s.Errors.More, err = percent(a.ProbationErrors); err != nil {
			return err
		}
		s.Errors.Least = defaultProbationRequests
		if n := a.ProbationRequests; n != nil {
			s.Errors.Least = uint64(*n)
		}
	}
	if err != nil {
		return err
	}
	if again := slices.DeleteFunc(slices.Clone(list), func(p probe.Probe) bool { return p.Unsafe }); len(again) > 0 {
		s.Probe, err = json.Marshal(again)
	}
	return err
}

// place takes over where the probes of a configuration stand in a file, which is all in
// which they can be others than a's.
func (a *App) place(w *wrapped) error {
	text, err := json.Marshal(w.app)
	if err != nil {
		return err
	}
	var own struct {
		Probes []probe.Probe `json:"probes"` // in any case, as Caddy reads it
	}
	if err := json.Unmarshal(text, &own); err != nil {
		return err
	}
	a.Probes = own.Probes
	return nil
}

// digest is that of a configuration, wherever in a file its probes stand.
func digest(d *document.Document) string {
	if text, ok := probe.Unplaced(d.Config()); ok {
		return generations.Digest(text)
	}
	return generations.Digest(d.JSON())
}

// proving is told to a process that has to prove itself: what is known of the pools,
// without the clients that were moved.
func (c *Hosted) proving(int) supervisor.Pieces {
	pieces := c.pools.pieces()
	return func(yield func(string, json.RawMessage) bool) {
		for topic, piece := range pieces {
			if topic == parlance.TopicMoved {
				continue
			}
			if data, err := json.Marshal(piece); err == nil && !yield(topic, data) {
				return
			}
		}
	}
}
