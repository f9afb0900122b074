// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/backend"
	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// patience is where waiting for the broker to recover has no sense any more.
const patience = 60 * time.Second

// world is a broker, its backends and what is known of them.
type world struct {
	backends []*backend.Backend
	proxy    *peers.Proxy

	strikes  []strike
	reported map[string]bool
}

func newWorld(ctx context.Context, dir string) (*world, error) {
	w := &world{reported: map[string]bool{}}
	for _, name := range []string{"one", "two", "three"} {
		b, err := backend.New(name, dir)
		if err != nil {
			return w, err
		}
		w.backends = append(w.backends, b)
		if _, err = b.Start(ctx, backend.Serve); err != nil {
			return w, err
		}
	}
	subject, err := peers.PrepareSoak(ctx, dir)
	if err != nil {
		return w, err
	}
	site := peers.Site{Case: "soak"}
	for _, b := range w.backends {
		site.Backends = append(site.Backends, b.Addr)
	}
	w.proxy, err = subject.Start(ctx, dir, site)
	return w, err
}

// close ends all processes and tells what did not want to.
func (w *world) close() error {
	var errs []error
	if w.proxy != nil {
		errs = append(errs, w.proxy.Stop())
	}
	for _, b := range w.backends {
		errs = append(errs, b.Kill())
	}
	return errors.Join(errs...)
}

// admin asks the broker's admin API.
func (w *world) admin(ctx context.Context, method, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.proxy.Site.Admin+path, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s: %s", resp.Status, text)
	case v != nil:
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// child is the serving process and its spares.
type child struct {
	State     string     `json:"state"`
	Pid       int        `json:"pid"`
	Probation *time.Time `json:"probation_until"`
	Processes []struct {
		Pid   int    `json:"pid"`
		State string `json:"state"`
	} `json:"processes"`
}

// settled waits until one child serves, one is spare and no other is left, and
// returns them.
func (w *world) settled(ctx context.Context) (active, spare int, err error) {
	return w.await(ctx, func(child) error { return nil })
}

// proved waits until the child is settled and what serves can no more be rolled back.
func (w *world) proved(ctx context.Context) error {
	_, _, err := w.await(ctx, func(c child) error {
		if c.Probation != nil {
			return fmt.Errorf("the child is on probation until %s", c.Probation.Format(time.TimeOnly))
		}
		return nil
	})
	return err
}

// await waits until the child is settled and as check wants it.
func (w *world) await(ctx context.Context, check func(child) error) (active, spare int, err error) {
	err = harness.Until(ctx, patience, func() error {
		var c child
		if err := w.admin(ctx, http.MethodGet, "/broker/children/default", &c); err != nil {
			return err
		}
		active, spare = c.Pid, 0
		for _, p := range c.Processes {
			if p.State == "standby" {
				spare = p.Pid
			}
		}
		if c.State != "active" || active == 0 || spare == 0 || len(c.Processes) != 2 {
			return fmt.Errorf("the child is not settled: %+v", c)
		}
		return check(c)
	})
	return active, spare, err
}

// collect takes in the list of requests in doubt, which has room for the last
// thousand only.
func (w *world) collect(ctx context.Context) error {
	var list []struct {
		ID string `json:"request_id"`
	}
	if err := w.admin(ctx, http.MethodGet, "/broker/in-doubt", &list); err != nil {
		return err
	}
	for _, d := range list {
		w.reported[d.ID] = true
	}
	return nil
}

// allUp waits until every pool says that its backends are up and nobody waits.
func (w *world) allUp(ctx context.Context) error {
	return harness.Until(ctx, patience, func() error {
		var pools []struct {
			Name      string `json:"name"`
			State     string `json:"state"`
			Waiting   int    `json:"waiting"`
			Upstreams []struct {
				URI      string `json:"uri"`
				State    string `json:"state"`
				Requests int    `json:"requests"`
			} `json:"upstreams"`
		}
		if err := w.admin(ctx, http.MethodGet, "/broker/pools", &pools); err != nil {
			return err
		}
		if len(pools) != 2 {
			return fmt.Errorf("%d pools instead of 2", len(pools))
		}
		for _, p := range pools {
			if p.State != "connected" || p.Waiting != 0 || len(p.Upstreams) != len(w.backends) {
				return fmt.Errorf("pool %+v is not as it should be", p)
			}
			for _, u := range p.Upstreams {
				// One that answers pings, and that no request happened to need since,
				// waits for its trial.
				if u.State != "up" && u.State != "trial" {
					return fmt.Errorf("pool %s: backend %s is %s, and works", p.Name, u.URI, u.State)
				}
			}
		}
		return nil
	})
}

// executions are all that the backends wrote down.
func (w *world) executions() (map[string]map[string]int, error) {
	all := map[string]map[string]int{}
	for _, b := range w.backends {
		records, err := b.Records()
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if all[r.ID] == nil {
				all[r.ID] = map[string]int{}
			}
			all[r.ID][b.Name]++
		}
	}
	return all, nil
}
