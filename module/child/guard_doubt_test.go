// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// A request that the end of its process cuts off is listed with all that is known of
// it, and nothing that may be secret.
func TestCutRequestsAreListed(t *testing.T) {
	pool, backend := "shop", "http://10.0.0.1:80"
	for name, id := range map[string]string{"the client's id": "order-7", "no id": ""} {
		t.Run(name, func(t *testing.T) {
			rt := newChildRuntime(nil)
			rt.account = account.New()
			r := httptest.NewRequest("POST", "http://shop.test/order?token=hidden-query", strings.NewReader("body"))
			r.Header.Set("Idempotency-Key", "hidden-key")
			if id != "" {
				r.Header.Set(indoubt.RequestIDHeader, id)
			}
			var cut, again []indoubt.Record
			_, err := guarded(t, rt, r, func(_ http.ResponseWriter, r *http.Request) error {
				place := caddyhttp.GetVar(r.Context(), indoubt.PlaceVar).(indoubt.Place)
				place.At(pool, backend)
				if early, _ := rt.inDoubt("cut off", everyRequest); len(early) != 0 {
					t.Errorf("cut off before anything was written: %+v", early)
				}
				place.Written()
				cut, _ = rt.inDoubt("cut off", everyRequest)
				again, _ = rt.inDoubt("cut off", everyRequest)
				return nil
			})
			if err != nil || len(cut) != 1 || len(again) != 0 {
				t.Fatalf("%d are cut off, and %d more (%v)", len(cut), len(again), err)
			}
			got := cut[0]
			want := indoubt.Record{
				Time: got.Time, Pool: pool, Backend: backend, Method: "POST", Host: "shop.test", Path: "/order",
				RequestID: got.RequestID, KeyHash: indoubt.HashKey("hidden-key"), Reason: "cut off",
			}
			if got != want || got.RequestID == "" || id != "" && got.RequestID != id {
				t.Errorf("cut off is %+v\nwant %+v", got, want)
			}
			if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "hidden") {
				t.Errorf("the record is %s (%v)", text, err)
			}
		})
	}
}
