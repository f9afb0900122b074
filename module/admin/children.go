// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

func adminChildren(w http.ResponseWriter, r *http.Request, parts []string) error {
	if len(parts) == 0 {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, broker.Statuses())
	}
	c := broker.Find(parts[0])
	if c == nil {
		names := broker.Names()
		if len(names) == 0 {
			return failure(http.StatusNotFound, "no child %q: this process supervises none", parts[0])
		}
		return failure(http.StatusNotFound, "no child %q: there are %s", parts[0], strings.Join(names, ", "))
	}
	if len(parts) == 1 {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, c.Status())
	}
	if parts[1] == "admin" {
		// As it stands in the request: a slash at the end counts.
		_, path, _ := strings.Cut(r.URL.Path, c.Name()+"/admin")
		return forward(c, w, r, "/"+strings.TrimPrefix(path, "/"))
	}
	if len(parts) > 2 {
		return failure(http.StatusNotFound, "no resource %q of child %q", strings.Join(parts[1:], "/"), c.Name())
	}
	if parts[1] == "last-exit" {
		return adminLastExit(c, w, r)
	}
	operation, known := childOperations[parts[1]]
	if !known {
		return failure(http.StatusNotFound, "no operation %q of child %q: there are last-exit, %s", parts[1], c.Name(),
			strings.Join(slices.Sorted(maps.Keys(childOperations)), ", "))
	}
	if err := method(r, http.MethodPost); err != nil {
		return err
	}
	if err := operation(c, r); err != nil {
		return conflict(err)
	}
	return answer(w, http.StatusOK, c.Status())
}

// adminLastExit says how the last process of a child ended.
func adminLastExit(c *broker.Hosted, w http.ResponseWriter, r *http.Request) error {
	if err := method(r, http.MethodGet); err != nil {
		return err
	}
	last := c.LastExit()
	if last.Exit == nil {
		return failure(http.StatusNotFound, "no process of child %q has ended since this broker began", c.Name())
	}
	return answer(w, http.StatusOK, last)
}

// childOperations are those of the API. An operation goes on when the one who
// asked for it leaves: its end must not depend on a client.
var childOperations = map[string]func(c *broker.Hosted, r *http.Request) error{
	"start": func(c *broker.Hosted, _ *http.Request) error { return c.Start(context.Background()) },
	"stop": func(c *broker.Hosted, r *http.Request) error {
		mode := control.Mode(r.URL.Query().Get("mode"))
		switch mode {
		case "":
			mode = control.Immediate
		case control.Immediate, control.Force:
		default:
			return failure(http.StatusBadRequest, "stop mode %q: it is immediate or force", mode)
		}
		return c.Stop(context.Background(), mode)
	},
	"restart": func(c *broker.Hosted, _ *http.Request) error { return c.Restart(context.Background()) },
	"reload":  reloadChild,
	"promote": func(c *broker.Hosted, _ *http.Request) error { return c.Promote(context.Background()) },
}

// reloadChild carries out a reload, and gives its error a status.
func reloadChild(c *broker.Hosted, _ *http.Request) error {
	err := c.Reload(context.Background())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrNoFile):
		return apiError{http.StatusConflict, err}
	default:
		return apiError{http.StatusBadRequest, err}
	}
}

// conflicts are the errors of a supervisor that say what the state of the child does not
// allow. All others are failures of its processes.
var conflicts = []error{
	supervisor.ErrStopped, supervisor.ErrStopping, supervisor.ErrRunning, supervisor.ErrNoStandby, supervisor.ErrProbation, supervisor.ErrRolledBack,
	supervisor.ErrSuperseded, supervisor.ErrCrowded, supervisor.ErrHandingOver, supervisor.ErrClosed,
}

// conflict gives an error of a supervisor its status.
func conflict(err error) error {
	if _, ok := errors.AsType[apiError](err); ok {
		return err
	}
	if slices.ContainsFunc(conflicts, func(known error) bool { return errors.Is(err, known) }) {
		return apiError{http.StatusConflict, err}
	}
	return apiError{http.StatusBadGateway, err}
}
