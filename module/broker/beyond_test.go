// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// TestReportsBeyondTheirBounds end the connection, and nothing is kept or told of them;
// those that just fit are taken.
func TestReportsBeyondTheirBounds(t *testing.T) {
	sup := supervisor.New(supervisor.Config{Name: "beyond"})
	defer sup.Close()
	padded := func(text string, n int) string { return text + strings.Repeat(" ", n-len(text)) }
	moved := func(clients int) string {
		data, err := json.Marshal(poolstate.Moves{Pool: "p", To: []poolstate.Moved{{Name: "http://10.0.0.1:80", Keys: make([]byte, 8*clients)}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, c := range []struct{ name, topic, fits, beyond string }{
		{"event", parlance.TopicEvent, padded(`{"name":"failover_resumed"}`, maxEvent), padded(`{"name":"failover_resumed"}`, maxEvent+1)},
		{"request in doubt", parlance.TopicDoubt, padded(`{"path":"/beyond"}`, maxDoubt), padded(`{"path":"/beyond"}`, maxDoubt+1)},
		{"moved clients", parlance.TopicMoved, moved(affinity.ShardMoves), moved(affinity.ShardMoves + 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			child := &Hosted{name: "beyond", sup: sup, pools: &poolKeeper{serving: 1}}
			if err := child.reported(1, parlance.TopicPlan, []byte(`{"pools":[{"name":"p"}]}`)); err != nil {
				t.Fatal(err)
			}
			events, end := host.events.hub.Watch(0)
			defer end()
			// had is what the parent has of it: events, requests in doubt, and pieces of state.
			had := func() [3]int {
				pieces := 0
				for range child.pools.pieces() {
					pieces++
				}
				return [3]int{len(events), len(host.doubts.List()), pieces}
			}
			before := had()
			if err := child.reported(1, c.topic, []byte(c.beyond)); !errors.Is(err, control.ErrUnreadable) {
				t.Errorf("%d bytes: %v, want the end of the connection", len(c.beyond), err)
			}
			if after := had(); after != before {
				t.Errorf("of what was refused it has %v, %v before", after, before)
			}
			if err := child.reported(1, c.topic, []byte(c.fits)); err != nil {
				t.Errorf("%d bytes: %v", len(c.fits), err)
			}
			if after := had(); after == before {
				t.Error("what fits was not taken")
			}
		})
	}
}

// TestAnswersOfAChildAreBounded in length, header and time; what is beyond is an error,
// and not an answer that was cut.
func TestAnswersOfAChildAreBounded(t *testing.T) {
	t.Parallel()
	child := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			var n int
			_, _ = fmt.Sscan(r.URL.RawQuery, &n)
			for chunk := make([]byte, 1<<20); n > 0; n -= len(chunk) {
				if _, err := w.Write(chunk[:min(n, len(chunk))]); err != nil {
					return
				}
			}
		case "/header":
			w.Header().Set("X-Long", strings.Repeat("x", maxAnswerHeader))
		case "/silence":
			<-r.Context().Done()
		}
	}))
	defer child.Close()
	from := transport(func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", child.Listener.Addr().String())
	})
	for path, want := range map[string]string{
		fmt.Sprint("/body?", maxAnswer):   "",
		fmt.Sprint("/body?", maxAnswer+1): "longer than 16777216 bytes",
		"/header":                         "headers exceeded 65536 bytes",
		"/silence":                        context.DeadlineExceeded.Error(),
	} {
		body, err := answer(t.Context(), from, path)
		if want == "" && (err != nil || len(body) != maxAnswer) || want != "" && (err == nil || !strings.Contains(err.Error(), want) || body != nil) {
			t.Errorf("%s: %d bytes, %v; want %q", path, len(body), err, want)
		}
	}
}
