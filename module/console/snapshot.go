// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// snapshot is all that the page is made of, at one moment.
type snapshot struct {
	*overview.Overview

	Now     time.Time
	Pid     int
	Program broker.Upgraded
	Doubts  []indoubt.Record // the newest first
	Events  []history.Event  // the newest first
	Exits   map[string]broker.LastExit
	Network *network
}

// network is the network of brokers.
type network struct {
	Name           string
	Members, Peers []string
}

// take asks for all of it.
func take(ctx context.Context) (*snapshot, error) {
	s := &snapshot{
		Overview: new(overview.Overview), Now: time.Now(), Pid: os.Getpid(), Program: broker.Program(), Exits: make(map[string]broker.LastExit),
	}
	if err := call(ctx, http.MethodGet, "/broker/", nil, s.Overview); err != nil {
		return nil, err
	}
	if err := call(ctx, http.MethodGet, "/broker/in-doubt", nil, &s.Doubts); err != nil {
		return nil, err
	}
	slices.Reverse(s.Doubts)
	if n := len(s.Doubts); n > 0 && s.InDoubt == nil {
		s.InDoubt = &overview.InDoubt{Requests: n, Last: s.Doubts[0].Time}
	}
	s.Verdict = s.Judge(s.Now)
	for _, c := range s.Children {
		if h := broker.Find(c.Name); h != nil {
			s.Exits[c.Name] = h.LastExit()
		}
	}
	s.Events = broker.History().Events(s.Now.Add(-history.Kept))
	slices.Reverse(s.Events)
	if state, _ := cluster.State(); state != nil {
		s.Network = &network{state.Name, state.Members, state.Peers}
	}
	return s, nil
}

// child returns the status of the child of that name, nil if there is none.
func (s *snapshot) child(name string) *supervisor.Status {
	for _, c := range s.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}
