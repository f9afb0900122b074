// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"maps"
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

// digest is that of a configuration, wherever in a file its probes stand: the path of the file
// and the lines above them say nothing of what it does.
func digest(d *document.Document) string {
	config, _ := d.Config().(object)
	apps, _ := config["apps"].(object)
	app, _ := apps["broker"].(object)
	list, _ := app["probes"].([]any)
	if len(list) == 0 {
		return generations.Digest(d.JSON())
	}
	probes := make([]any, len(list))
	for i, p := range list {
		if o, ok := p.(object); ok {
			o = maps.Clone(o)
			delete(o, "at")
			p = o
		}
		probes[i] = p
	}
	text, err := json.Marshal(with(config, "apps", with(apps, "broker", with(app, "probes", probes))))
	if err != nil {
		return generations.Digest(d.JSON())
	}
	return generations.Digest(text)
}

// with is a copy of an object with another value of a member.
func with(o object, name string, value any) object {
	o = maps.Clone(o)
	o[name] = value
	return o
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
