// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

func pool(name, state string, upstreams ...report.UpstreamStatus) report.PoolStatus {
	return report.PoolStatus{Name: name, State: state, Upstreams: upstreams}
}

func upstream(uri, state string, requests int64) report.UpstreamStatus {
	return report.UpstreamStatus{URI: uri, State: state, Requests: requests}
}

func TestWhatOperationsSay(t *testing.T) {
	shop := pool("shop", "connected", upstream("http://a:80", "drained", 3), upstream("http://b:80", "up", 1))
	blog := pool("blog", "all drained", upstream("http://a:80", "drained", 1))
	byHand := pool("shop", "connected", upstream("http://a:80", "up", 3), report.UpstreamStatus{URI: "http://b:80", State: "up", Manual: true})
	for _, c := range []struct{ got, want string }{
		{drained("drain", "a:80", []report.PoolStatus{shop, blog}), "pool shop: http://a:80 drained; 3 requests still in progress\n" +
			"pool blog: http://a:80 drained; 1 request still in progress\npool blog: every backend is drained now, requests get 503\n"},
		{drained("resume", "http://b", []report.PoolStatus{shop}), "pool shop: http://b:80 resumed; it is up\n"},
		{drained("resume", "http://a:80", []report.PoolStatus{shop}), "pool shop: http://a:80 is drained still: by a decision for this pool, or for\n  every pool\n"},
		{moved("failover", byHand), "pool shop: new requests go to http://b:80 until failback; 3 requests elsewhere still in progress"},
		{moved("failback", shop), "pool shop: the failover by hand is over, new requests go to their own backends again"},
		{changed(shop, pool("shop", "connected", upstream("http://a:80", "up", 0))), "pool shop: 1 address added, to serve when a ping is answered"},
		{changed(pool("shop", "connected", upstream("http://b:80", "up", 0), upstream("http://a:80", "removed", 2)), shop), "pool shop: 1 address removed; 2 requests still in progress there"},
		{changed(shop, shop), "pool shop: nothing has changed"},
		{done("stop", &supervisor.Status{Name: "default", State: "stopped"}), "stop default: done, it is stopped"},
		{
			done("restart", &supervisor.Status{Name: "default", State: "active", Pid: 7, Processes: []supervisor.ProcessStatus{{State: "draining"}, {State: "active"}}}),
			"restart default: done, process 7 is active; 1 older process finishes requests in progress",
		},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestPoolThatIsMeant(t *testing.T) {
	list := []report.PoolStatus{
		pool("shop", "connected", upstream("http://a:80", "up", 0), upstream("http://b:80", "up", 0)),
		pool("blog", "connected", upstream("http://a:80", "up", 0)),
	}
	for _, c := range []struct {
		list       []report.PoolStatus
		uri        string
		want, says string
	}{
		{list, "b:80", "shop", ""},
		{list, "http://B", "shop", ""},
		{list[:1], "", "shop", ""},
		{list, "a:80", "", `2 pools have address "a:80": say which one: shop, blog`},
		{list, "", "", "there are 2 pools: say which one: shop, blog"},
		{list, "c:80", "", `no pool has address "c:80"`},
		{nil, "", "", "no pools"},
	} {
		got, err := poolOf(c.list, c.uri)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q of %d: %q, %v; want %q, %q", c.uri, len(c.list), got, err, c.want, c.says)
		}
	}
}

func TestDoubtsAreShown(t *testing.T) {
	var out strings.Builder
	list := []indoubt.Record{
		{Time: drawnAt, Method: "POST", Host: "shop.example", Path: "/orders", RequestID: "order-17", Backend: "http://a:80", Pool: "shop", Reason: "connection lost"},
		{Time: drawnAt, Method: "POST", Path: "/" + strings.Repeat("x", 200), Reason: "killed\x1b[2J"},
	}
	if err := drawDoubts(&out, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"POST shop.example/orders\n", "  request id order-17, sent to http://a:80 of pool shop\n  connection lost\n", "  no request id\n", "2 requests in doubt\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	checkColumns(t, out.String())
}

func TestEventsAreShown(t *testing.T) {
	const stream = ": alive\n\nid: 7\nevent: broker_child_exited\ndata: {\"child\":\"default\",\"code\":137,\"error\":\"a b\\u001b\",\"time\":\"2026-03-04T05:06:07Z\"}\n\n"
	for asJSON, want := range map[bool]string{
		false: drawnAt.Local().Format(time.DateTime) + "  broker_child_exited child=default code=137 error=\"a b\\x1b\"\n",
		true:  `{"data":{"child":"default","code":137,"error":"a b\u001b","time":"2026-03-04T05:06:07Z"},"event":"broker_child_exited"}` + "\n",
	} {
		var out strings.Builder
		last, err := writeEvents(&out, strings.NewReader(stream), asJSON, "")
		if err != nil || last != "7" || out.String() != want {
			t.Errorf("as JSON: %v: %q (%v) up to %s, want %q", asJSON, out.String(), err, last, want)
		}
	}
}
