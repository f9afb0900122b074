// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestOurNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, want string }{
		{":8080", "broker/:8080"},
		{"127.0.0.1:80", "broker/127.0.0.1:80"},
		{"[::1]:80", "broker/[::1]:80"},
		{"tcp/:443", "broker/:443"},
		{"TCP/:443", "broker/:443"},
		{"tcp4/:443", "broker4/:443"},
		{"tcp6/:443", "broker6/:443"},
		{"udp/:443", "brokerudp/:443"},
		{"unix//run/x.sock|0660", "unixbroker//run/x.sock|0660"},
		{"unix/@abstract", "unixbroker/@abstract"},
		{"fd/3", "fdbroker/3"},
		{"fdgram/4", "fdgrambroker/4"},
		{":8000-8010", "broker/:8000-8010"},
		{"tailscale/host:80", "tailscale/host:80"},
		{"broker/:80", "broker/:80"},
	} {
		if got := ourNetwork(c.address); got != c.want {
			t.Errorf("%s: got %s, want %s", c.address, got, c.want)
		}
	}
}

// Caddy tells descriptors by how the network's name begins, and asks its listener
// for packets.
func TestInheritedDatagramSocket(t *testing.T) {
	t.Parallel()
	addr, err := caddy.ParseNetworkAddress(ourNetwork("fdgram/4"))
	if err != nil || !addr.IsFdNetwork() || addr.Host != "4" {
		t.Errorf("Caddy reads %+v, %v", addr, err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if file, err := conn.(*net.UDPConn).File(); err != nil {
		t.Skipf("no descriptors of sockets on this system: %v", err)
	} else {
		_ = file.Close()
	}
	ln, err := newChildRuntime(nil).lent(networks[addr.Network], addr.Host, net.ListenConfig{}, conn.(*net.UDPConn).File)
	if err != nil {
		t.Fatal(err)
	}
	pc, ok := ln.(*packetConn)
	if !ok {
		t.Fatalf("got %T", ln)
	}
	if err := pc.Close(); err != nil {
		t.Error(err)
	}
}

func TestSocketAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		network, host, ports string
		offset               uint
		want                 string
		perm                 uint32
		err                  string
	}{
		{network: "tcp", ports: "8080", want: ":8080"},
		{network: "tcp", host: "::1", ports: "8080-8090", offset: 3, want: "[::1]:8083"},
		{network: "udp", host: "127.0.0.1", ports: "443", want: "127.0.0.1:443"},
		{network: "tcp", host: "a", want: "a:0"},
		{network: "tcp", ports: "http", err: `parsing port "http"`},
		{network: "unix", host: "/run/x.sock", want: "/run/x.sock", perm: 0o200},
		{network: "unix", host: "/run/x.sock|0222", want: "/run/x.sock", perm: 0o222},
		{network: "unix", host: "/run/x.sock|rw", err: "not an octal number"},
		{network: "fd", host: "3", want: "3"},
		{network: "fdgram", host: "4", want: "4"},
	} {
		got, perm, err := socketAddress(c.network, c.host, c.ports, c.offset)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: got error %v", c, err)
			}
			continue
		}
		if err != nil || got != c.want || uint32(perm) != c.perm {
			t.Errorf("%+v: got %s, %o, %v", c, got, perm, err)
		}
	}
}

func TestPrepareConfig(t *testing.T) {
	t.Setenv("BROKER_TEST_ADDRESS", "unix//run/y.sock")
	out, err := PrepareConfig([]byte(`{
		"admin": {"listen": "localhost:2019"},
		"logging": {"logs": {"default": {"level": "DEBUG"}}},
		"apps": {"http": {"servers": {
			"a": {"listen": [":80", "{env.BROKER_TEST_ADDRESS}"], "routes": [{"handle": [{"handler": "static_response"}]}],
				"Errors": {"Routes": [{"handle": [{"handler": "templates"}]}]}},
			"b": {"listen": [":81"], "errors": {}}
		}}, "tls": {"x": 1}}
	}`), "/run/admin.sock")
	if err != nil {
		t.Fatal(err)
	}
	type route struct {
		Handle []struct{ Handler string }
	}
	var got struct {
		Admin struct {
			Listen string
			Config struct{ Persist *bool }
		}
		Logging json.RawMessage
		Apps    struct {
			HTTP struct {
				Servers map[string]struct {
					Listen []string
					Routes []route
					Errors struct{ Routes []route }
				}
			}
			TLS json.RawMessage
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Admin.Listen != "unix//run/admin.sock|0600" || got.Admin.Config.Persist == nil || *got.Admin.Config.Persist {
		t.Errorf("admin: %+v", got.Admin)
	}
	a := got.Apps.HTTP.Servers["a"]
	if want := []string{"broker/:80", "unixbroker//run/y.sock"}; !slices.Equal(a.Listen, want) {
		t.Errorf("listen: got %v, want %v", a.Listen, want)
	}
	if len(a.Routes) != 2 || a.Routes[0].Handle[0].Handler != "broker_guard" || a.Routes[1].Handle[0].Handler != "static_response" {
		t.Errorf("the guard is not the first route: %+v", a.Routes)
	}
	if e := a.Errors.Routes; len(e) != 2 || e[0].Handle[0].Handler != "broker_guard" || e[1].Handle[0].Handler != "templates" {
		t.Errorf("the guard is not the first route for errors: %+v", e)
	}
	b := got.Apps.HTTP.Servers["b"]
	if len(b.Routes) != 1 {
		t.Errorf("a server without routes has no guard: %+v", b)
	}
	if len(b.Errors.Routes) != 0 {
		t.Errorf("a server without routes for errors has got some: %+v", b)
	}
	if string(got.Apps.TLS) != `{"x":1}` || len(got.Logging) == 0 {
		t.Error("something that is none of our business was changed")
	}
}

func TestPrepareConfigNames(t *testing.T) {
	t.Parallel()
	_, err := PrepareConfig([]byte(`{"apps":{"http":{"servers":{"web":{"listen":"oops"}}}}}`), "")
	if err == nil || !strings.Contains(err.Error(), "servers.web.listen") {
		t.Errorf("the error does not say where: %v", err)
	}
	for config, want := range map[string]string{
		`{"apps":{},"Apps":{}}`:                                           "apps is there in two spellings",
		`{"apps":{"http":{"servers":{},"Servers":{}}}}`:                   "servers is there in two spellings",
		`{"apps":{"http":{"servers":{"web":{"Routes":[],"routes":[]}}}}}`: "servers.web: routes is there in two spellings",
		`{"apps":{"http":{"servers":{"web":null}}}}`:                      "servers.web: it is null",
	} {
		if _, err := PrepareConfig([]byte(config), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", config, err, want)
		}
	}
	out, err := PrepareConfig([]byte(`{"APPS":{"http":{"Servers":{"web":{"Listen":[":80"]}}}}}`), "")
	if want := `"apps":{"http":{"servers":{"web":{"listen":["broker/:80"],"routes":[{`; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("names in another case: %s, %v, want %s", out, err, want)
	}
	out, err = PrepareConfig([]byte(`null`), "")
	if err != nil || !strings.Contains(string(out), `"disabled":true`) {
		t.Errorf("an empty configuration: %s, %v", out, err)
	}
}

// TestPrivateAdminEndpointIsQuiet: the default log has nothing of the requests to it,
// unless the user says what it has.
func TestPrivateAdminEndpointIsQuiet(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: `"logging":{"logs":{"default":{"exclude":["admin.api"]}}}`,
		`{"logging":{"logs":{"default":{"Exclude":["tls"],"level":"DEBUG"},"a":{}}}}`: `"logging":{"logs":{"a":{},"default":{"exclude":["tls","admin.api"],"level":"DEBUG"}}}`,
		`{"logging":{"logs":{"default":{"include":["admin"]}}}}`:                      `"logging":{"logs":{"default":{"include":["admin"]}}}`,
	} {
		out, err := PrepareConfig([]byte(config), "/run/admin.sock")
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %s, %v; want %s", config, out, err, want)
		}
	}
}
