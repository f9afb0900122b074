// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
)

// checkTime bounds how long a check waits for the process that has the pools.
const checkTime = 40 * time.Millisecond

// checked is the answer of a check.
type checked struct {
	Error  string `json:"error,omitempty"` // why it does not serve
	Serves bool   `json:"serves"`
	Paused bool   `json:"paused,omitempty"` // as an operator wants it
}

// adminCheck says whether this broker serves, or one pool of it: 200 or 503. It waits
// for nothing but, with a pool, for the process that has it, and not long. Of children
// it looks at what is published: a supervisor that hangs does not keep it.
func adminCheck(w http.ResponseWriter, r *http.Request) error {
	if err := method(r, http.MethodGet); err != nil {
		return err
	}
	reason := unserved(r.Context(), r.URL.Query().Get("pool"))
	if reason == "" {
		return answer(w, http.StatusOK, checked{Serves: true})
	}
	c := poolsChild()
	return answer(w, http.StatusServiceUnavailable, checked{Error: reason, Paused: c != nil && overview.Paused(c.Status())})
}

// unserved is why nothing is served, by the pool if it is named; empty if it is.
func unserved(ctx context.Context, pool string) string {
	c := poolsChild()
	if c != nil {
		switch st := c.Status(); {
		case overview.Active(st) == nil:
			return fmt.Sprintf("child %s: no process accepts, it is in state %s", c.Name(), st.State)
		case !overview.SilentSince(st, time.Now()).IsZero():
			return fmt.Sprintf("child %s does not answer", c.Name())
		}
	}
	if pool == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	list, err := poolsOf(ctx, c)
	if err != nil {
		return err.Error()
	}
	names := make([]string, len(list))
	for i, p := range list {
		if names[i] = p.Name; p.Name != pool {
			continue
		}
		if overview.Serves(p) {
			return ""
		}
		return fmt.Sprintf("pool %s has no backend that takes requests: %s", pool, p.State)
	}
	return fmt.Sprintf("no pool %q: %s", pool, alternatives(names))
}

// poolsOf are the pools of child c, or of this process if there is none.
func poolsOf(ctx context.Context, c *broker.Hosted) (list []report.PoolStatus, err error) {
	if c == nil {
		return poolStatuses(), nil
	}
	body, err := c.Ask(ctx, "/broker/pools")
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	return list, err
}
