// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
	"github.com/caddy-broker/caddy-broker/module/reach"
)

// doubt notes that a request ends with an error although b may have executed it.
func (e *poolEntry) doubt(ex *exchange, b *reach.Backend, kind proxystatus.Fault, err error) {
	r := ex.run
	d := indoubt.Record{
		Time: time.Now(), Pool: e.name, Backend: b.Member.Name,
		Method: r.Method, Host: r.Host, Path: r.URL.Path, RequestID: requestID(r), KeyHash: indoubt.HashKey(r.Header.Get("Idempotency-Key")),
		Reason: fmt.Sprintf("%s: %v", kind.Error, err),
	}
	if ex.w != nil {
		// By it the client's report and this record are brought together.
		ex.w.Header().Set(indoubt.RequestIDHeader, d.RequestID)
	}
	e.counters.doubt()
	if c := ex.policy.logger.Check(zap.DebugLevel, "request in doubt"); c != nil {
		c.Write(zap.String("upstream", d.Backend), zap.String("method", d.Method), zap.String("request_id", d.RequestID), zap.Error(err))
	}
	pools.ledger.Add(d)
	if !pools.ledger.Gather(d.Pool, d.Backend) {
		return
	}
	f := ex.policy
	time.AfterFunc(indoubt.Window, func() {
		n := pools.ledger.Gathered(d.Pool, d.Backend)
		e := report.Tell("failover_in_doubt", map[string]any{
			"pool": d.Pool, "upstream": d.Backend, "requests": n, "code": "FAILOVER", "failed_over": false,
		})
		f.say(e)
		pools.events.put(queued{f, e})
	})
}

// maxRequestID bounds an id that a client chose, in bytes.
const maxRequestID = 200

// requestID is the id that the client gave the request, or else Caddy, which has it in
// the access log as well.
func requestID(r *http.Request) string {
	if id := r.Header.Get(indoubt.RequestIDHeader); id != "" && len(id) <= maxRequestID {
		return id
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		return repl.ReplaceAll("{http.request.uuid}", "")
	}
	return ""
}
