// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// The requests that the end of this process cuts off: what is known of them is in the
// account, which the parent reads when this process is dead. Those that are cut while it
// lives on, and at an end that was asked for, are reported over the control connection,
// with a reason of their own.

// begin writes down a request; open says that what executes it is not known.
func (rt *childRuntime) begin(q *inflight, r *http.Request, open bool) {
	if rt.account == nil {
		return
	}
	b := account.Begin{
		Time: time.Now().UnixNano(), Method: r.Method, Host: r.Host, Path: r.URL.Path, ID: r.Header.Get(indoubt.RequestIDHeader),
		Unsafe: isUnsafe(r.Method), Open: open,
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		sum := sha256.Sum256([]byte(key))
		b.Key = &sum
	}
	rt.account.Begin(&q.entry, &b)
}

// isUnsafe reports whether a request with this method may change something.
func isUnsafe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return false
	}
	return true
}

// cutOff reports the requests in progress that match and are in doubt.
func (rt *childRuntime) cutOff(reason string, match func(*inflight) bool) {
	if cut, told := rt.inDoubt(reason, match); len(cut) > 0 && reportCut(rt.link, cut) {
		told()
	}
}

// inDoubt lists the requests in progress that match and are in doubt, each only once.
// told says that the parent has them.
func (rt *childRuntime) inDoubt(reason string, match func(*inflight) bool) (cut []indoubt.Record, told func()) {
	now := time.Now()
	var entries []account.Entry // an entry does nothing once its request is over
	rt.requests.each(func(q *inflight) {
		r, ok := q.entry.Request()
		if !ok || !r.InDoubt() || q.told || !match(q) {
			return
		}
		q.told = true
		entries = append(entries, q.entry)
		cut = append(cut, indoubt.Record{
			Time: now, Pool: r.Pool, Backend: r.Backend, Method: r.Method, Host: r.Host, Path: r.Path,
			// It may have no id that anyone knows of; the log and the list agree at least.
			RequestID: cmp.Or(r.ID, rand.Text()), KeyHash: r.KeyHash, Reason: reason,
		})
	})
	return cut, func() {
		for i := range entries {
			entries[i].Told()
		}
	}
}

// cutReport is how many requests in doubt go into one report: of so many the longest
// texts fit, seven in each, of whose bytes each may need six as JSON.
const cutReport = control.MaxReport / (8 * 6 * indoubt.MaxText)

// shownCut is how many requests in doubt one line of the log has, if the parent cannot
// take them: it is the only place for them then.
const shownCut = 100

// reportCut tells of the unsafe requests that the end of this process cuts off:
// they may have been executed, and nobody will hear the answer. It returns when
// the parent has it, and reports whether it has all of it.
func reportCut(link *control.Link, cut []indoubt.Record) (all bool) {
	all = true
	for i := range cut {
		cut[i].Bound()
	}
	for part := range slices.Chunk(cut, cutReport) {
		data, err := json.Marshal(part)
		if err == nil {
			err = link.Report(parlance.TopicCut, data)
		}
		if err != nil {
			caddy.Log().Named("broker").Error("requests in doubt cannot be reported to the broker: these may have been executed without an answer",
				zap.Int("count", len(part)), zap.Any("requests", part[:min(len(part), shownCut)]), zap.Error(err))
			all = false
		}
	}
	return all
}
