// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
)

// TestDoubtNamesTheRequest: the error and its record have one id, that of the client
// where it gave one, and the record has nothing that may be secret.
func TestDoubtNamesTheRequest(t *testing.T) {
	for name, id := range map[string]string{
		"the client's id": "order-7",
		"no id":           "",
		"endless id":      strings.Repeat("x", maxRequestID+1),
	} {
		t.Run(name, func(t *testing.T) {
			lost := newRawBackend(t, swallow)
			p := newProxy(t, upstreams(lost.addr(), newBackendServer(t, "good", nil).addr()))
			req, err := http.NewRequest("POST", p.URL+"/order?token=hidden-query", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Idempotency-Key", "hidden-key")
			if id != "" {
				req.Header.Set(indoubt.RequestIDHeader, id)
			}
			res, err := p.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			list := pools.ledger.List()
			got := list[len(list)-1]
			want := indoubt.Record{
				Time: got.Time, Pool: p.policy.claim.entry.name, Backend: "http://" + lost.addr(), Method: "POST", Host: req.URL.Host,
				Path: "/order", RequestID: res.Header.Get(indoubt.RequestIDHeader), KeyHash: indoubt.HashKey("hidden-key"), Reason: got.Reason,
			}
			if got != want || got.Reason == "" || got.Time.IsZero() {
				t.Errorf("in doubt is %+v\nwant %+v", got, want)
			}
			if given := name == "the client's id"; given != (got.RequestID == id) || got.RequestID == "" {
				t.Errorf("the id is %q", got.RequestID)
			}
			if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "hidden") {
				t.Errorf("the record is %s (%v)", text, err)
			}
		})
	}
}
