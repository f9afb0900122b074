// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// snapshot is all that the page is made of, at one moment.
type snapshot struct {
	Now      time.Time
	Pid      int
	Program  broker.Upgraded
	Load     broker.LoadState
	Children []*supervisor.Status
	Pools    []report.PoolStatus
	// PoolsError is why the pools are not known.
	PoolsError string
	Doubts     []indoubt.Record // the newest first
	Events     []history.Event  // the newest first
	Exits      map[string]broker.LastExit
	Network    *network
}

// network is the network of brokers.
type network struct {
	Name    string
	Members []string
	Peers   []string
}

// maxShown bounds the rows of a list on the page.
const maxShown = 50

// take asks for all of it.
func take(ctx context.Context) *snapshot {
	s := &snapshot{
		Now: time.Now(), Pid: os.Getpid(), Program: broker.Program(), Load: broker.Loads(), Children: broker.Statuses(),
		Exits: make(map[string]broker.LastExit),
	}
	if err := call(ctx, http.MethodGet, "/broker/pools", nil, &s.Pools); err != nil {
		s.PoolsError = err.Error()
	}
	if err := call(ctx, http.MethodGet, "/broker/in-doubt", nil, &s.Doubts); err == nil {
		slices.Reverse(s.Doubts)
	}
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
	return s
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
