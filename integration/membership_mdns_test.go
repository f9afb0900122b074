// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"io"
	"log"
	"net"
	"strconv"
	"testing"

	"github.com/hashicorp/mdns"
)

// respond tells of an instance of a service on the local network until it is
// called off, at the end of the test at the latest. Each has a responder of its
// own, as on machines of their own: of several in one packet the library sees one.
func respond(t *testing.T, name, service, addr string) (stop func()) {
	t.Helper()
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := mdns.NewMDNSService(name, service, "", name+".local.", port, []net.IP{net.ParseIP(host)}, []string{"v=1"})
	if err != nil {
		t.Fatal(err)
	}
	responder, err := mdns.NewServer(&mdns.Config{Zone: zone, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Fatal(err)
	}
	stop = func() { _ = responder.Shutdown() }
	t.Cleanup(stop)
	return stop
}

// A pool without any configured address finds the instances of its service on the
// local network, and takes those that it may.
func TestDiscoveryByMulticastDNS(t *testing.T) {
	t.Parallel()
	isolated(t, func(t *testing.T) {
		ip(t, "route add 224.0.0.0/4 dev bridge")
		ip(t, "addr add 10.77.0.1"+netBits+" dev bridge")
		ip(t, "addr add 10.77.0.2"+netBits+" dev bridge")
		one, two, other := newAnnouncer(t, "10.77.0.1"), newAnnouncer(t, "10.77.0.2"), newAnnouncer(t, "10.77.0.2")
		off := []func(){
			respond(t, "one", "_app._tcp", one.addr),
			respond(t, "two", "_app._tcp", two.addr),
			respond(t, "far", "_app._tcp", "10.78.0.1:80"),
			respond(t, "metadata", "_app._tcp", "169.254.169.254:80"),
			respond(t, "other", "_other._tcp", other.addr),
		}

		port := freePort(t)
		front := startBroker(t, `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {
		lb_policy failover {
			pool found
			affinity request
			discovery mdns _app._tcp
			update_uris_allow 10.77.0.0/16:* 169.254.0.0/16:*
		}
	}
}
`, "PORT="+port)
		awaitMembers(t, front, "found", one.addr+" up", two.addr+" up")
		get(t, "127.0.0.1:"+port)
		const metrics = "/broker/children/default/admin/metrics"
		for _, reason := range []string{"not_allowed", "special_address"} {
			awaitMetric(t, front, func(n float64) bool { return n == 1 }, metrics, "caddy_failover_uris_refused_total", `reason="`+reason+`"`)
		}
		awaitMetric(t, front, positive, metrics, "caddy_failover_uri_updates_total", `source="discovery"`, `outcome="accepted"`)

		// Nobody tells of anything any more, and one of the two is lost.
		for _, stop := range off {
			stop()
		}
		if err := one.srv.Close(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			get(t, "127.0.0.1:"+port)
		}
		awaitMembers(t, front, "found", one.addr+" down", two.addr+" up")
	})
}
