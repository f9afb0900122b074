// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/module/proxy"
)

// look is what this broker is like now, and whether that is all right. A child that
// does not answer is one of the things that it may say, and no error.
func look(ctx context.Context) *overview.Overview {
	o := &overview.Overview{
		Version: broker.Program().Version, Children: broker.Overview(), Reload: broker.LastReload(), Pools: []report.PoolStatus{},
	}
	doubts := proxy.Doubts()
	c := poolsChild()
	if c != nil {
		doubts = broker.Doubts()
	}
	if list, err := poolsOf(ctx, c); err != nil {
		o.PoolsError = err.Error()
	} else {
		o.Pools = list
	}
	if n := len(doubts); n > 0 {
		o.InDoubt = &overview.InDoubt{Requests: n, Last: doubts[n-1].Time}
	}
	o.Verdict = o.Judge(time.Now())
	return o
}

// watchEvery is how often one that watches is told.
const watchEvery = time.Second

// watch answers with an overview each second, one a line, as long as the client stays and
// the configuration is in effect that began it: one request, where each would be in the log.
func watch(w http.ResponseWriter, r *http.Request) error {
	over := broker.Over()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	//nolint:bodyclose // there is no body
	control := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for tick := time.NewTicker(watchEvery); ; {
		if enc.Encode(look(r.Context())) != nil || control.Flush() != nil {
			return nil //nolint:nilerr // the watcher has left
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-over:
			return nil
		case <-tick.C:
		}
	}
}
