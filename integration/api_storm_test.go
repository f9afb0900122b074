// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var stormChanges = flag.Int("changes", 60, "how many changes the storm over the admin API has, ten a second")

// stormy is a site that changes are made to while it is used in every way.
const stormy = `{
	admin {$ADMIN}
	broker {
		restart_delay 100ms
		max_restart_delay 100ms
		probation 0
	}
}
http://:{$PORT} {
	reverse_proxy /stream/* {$STREAMS}
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover
	}
}
`

// TestStormOfChanges: changes come ten times a second while short and long requests,
// event streams and WebSockets are in progress, and the child is killed in between. All
// changes are there in the end, and lost is only what a killed child was about to answer.
func TestStormOfChanges(t *testing.T) {
	changes := *stormChanges
	backends, env := newBackends(t)
	start(t, backends...)
	port, endless := freePort(t), newStreams(t)
	b := supervised(t, stormy, append(env, "PORT="+port, "STREAMS="+endless.addr)...)
	call{Method: "PUT", Path: "/config/apps/http/servers/srv0/named_routes", Body: "{}"}.wants(t, b, 200, "")

	addr := "127.0.0.1:" + port
	short := (&harness.Load{
		Client: &harness.Client{Addr: addr}, Rate: 60, Name: "short",
		Requests: []harness.Request{{Method: "GET"}, {Method: "POST", Body: []byte("order")}},
	}).Start(t.Context())
	long := (&harness.Load{
		Client: &harness.Client{Addr: addr}, Rate: 5, Name: "long",
		Requests: []harness.Request{{Method: "POST", Path: "/?delay=2s", Body: []byte("order")}},
	}).Start(t.Context())
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var around sync.WaitGroup
	endlessClients := &streamClients{addr: addr}
	around.Go(func() { endlessClients.run(ctx, endlessClients.eventStream) })
	around.Go(func() { endlessClients.run(ctx, endlessClients.webSocket) })
	seen := new(crowd)
	around.Go(func() { seen.watch(ctx, b) })

	var kills strikes
	results := make([]*harness.Result, changes)
	var wg sync.WaitGroup
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range results {
		wg.Go(func() {
			c := call{Method: "PUT", Path: fmt.Sprintf("/config/apps/http/servers/srv0/named_routes/n%d", i), Body: `{"handle":[{"handler":"static_response"}]}`}
			results[i] = c.ask(t, b)
		})
		if i%30 == 15 {
			pid := awaitActive(t, b, 0)
			kills.strike(t, func() error { return killProcess(t, pid) })
		}
		<-tick.C
	}
	wg.Wait()
	for i, res := range results {
		if res.Status != 200 {
			t.Errorf("change %d: %d %s (%v)", i, res.Status, res.Body, res.Err)
		}
	}
	end()
	around.Wait()
	for name, run := range map[string]*harness.Run{"short": short, "long": long} {
		all := run.Stop()
		t.Logf("%s requests: %s", name, all)
		for _, r := range all.Failed() {
			if r.Fate == harness.Refused || !kills.hit(r) {
				t.Errorf("%s was not in progress at a kill, but: %s %d (%v)", r.ID, r.Fate, r.Status, r.Err)
			}
		}
	}
	for id, n := range executions(t, backends) {
		if n > 1 {
			t.Errorf("%s was executed %d times", id, n)
		}
	}

	var there map[string]any
	text := call{Method: "GET", Path: "/config/apps/http/servers/srv0/named_routes"}.wants(t, b, 200, "").Body
	if err := json.Unmarshal([]byte(text), &there); err != nil || len(there) != changes {
		t.Errorf("%d of %d changes are there (%v)", len(there), changes, err)
	}
	child := call{Method: "GET", Path: "/broker/children/default/admin/config/apps/http/servers/srv0/named_routes"}.wants(t, b, 200, "").Body
	if n := strings.Count(child, "static_response"); n != changes {
		t.Errorf("the child runs %d of %d changes", n, changes)
	}
	if seen.most > maxProcesses {
		t.Errorf("the child had %d processes, want at most %d", seen.most, maxProcesses)
	}
	if !strings.Contains(seen.waits, "wait") {
		t.Error("the status never said that changes wait")
	}
	if endlessClients.streams < 2 || endlessClients.sockets < 2 {
		t.Errorf("%s: that shows little", endlessClients)
	}
	t.Logf("%d changes, %d kills, %d processes at most; %s; changes: %s; %s", changes, len(kills), seen.most, endlessClients, harness.Results(results), seen.waits)
}
