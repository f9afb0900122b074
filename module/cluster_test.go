// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// gossipPort is a port of loopback that is free for TCP and UDP.
func gossipPort(t *testing.T) string {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr().String()
		pc, err := net.ListenPacket("udp", at)
		_ = l.Close()
		if err == nil {
			_ = pc.Close()
			return at
		}
	}
	t.Fatal("no port is free for TCP and UDP")
	return ""
}

type clusterMember struct {
	*clusterNode
	at    string
	state atomic.Pointer[networkState]
}

// joinCluster starts a broker's membership that ends with the test.
func joinCluster(t *testing.T, name, seed string, change func(*Network)) (*clusterMember, error) {
	t.Helper()
	cfg := &Network{Name: name, Advertise: []string{"http://" + name + ".example:80"}, Bind: gossipPort(t), UpdateClusterClients: true}
	if seed != "" {
		cfg.Seeds = []string{seed}
	}
	if change != nil {
		change(cfg)
	}
	if err := cfg.provision(); err != nil {
		t.Fatal(err)
	}
	m := &clusterMember{at: cfg.Bind}
	node, err := startCluster(cfg, zap.NewNop(), func(s *networkState) { m.state.Store(s) })
	if err != nil {
		return nil, err
	}
	m.clusterNode = node
	return m, nil
}

func mustJoin(t *testing.T, name, seed string, change func(*Network)) *clusterMember {
	t.Helper()
	m, err := joinCluster(t, name, seed, change)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *clusterMember) await(t *testing.T, peers ...string) {
	t.Helper()
	want := make([]string, len(peers))
	for i, p := range peers {
		want[i] = "http://" + p + ".example:80"
	}
	eventually(t, fmt.Sprintf("%s tells of %v", m.cfg.Name, peers), func() bool { return slices.Equal(m.state.Load().Peers, want) })
}

func TestClusterJoinsAndLeaves(t *testing.T) {
	a := mustJoin(t, "a", "", nil)
	defer a.leave()
	removes := func(n *Network) { n.UpdateClusterClientsOnRemove = true }
	b := mustJoin(t, "b", a.at, removes)
	defer b.leave()
	c := mustJoin(t, "c", a.at, func(n *Network) { n.UpdateClusterFilter = []string{"b", "x.*"}; n.RebalanceClusterClients = true })
	a.await(t, "b", "c")
	b.await(t, "a", "c")
	c.await(t, "b")
	if s := c.state.Load(); !slices.Contains(s.All, "http://a.example:80") || s.Rebalance == 0 {
		t.Errorf("state of c is %+v: it has to know all of its network", s)
	}
	c.leave()
	b.await(t, "a")
	eventually(t, "a knows that c left", func() bool { return slices.Equal(a.state.Load().Members, []string{"b"}) })
	a.await(t, "b", "c") // clients do not hear of it
}

func TestClusterNameTwice(t *testing.T) {
	a := mustJoin(t, "a", "", nil)
	defer a.leave()
	b := mustJoin(t, "b", a.at, nil)
	defer b.leave()
	for _, seed := range []string{a.at, b.at} {
		if again, err := joinCluster(t, "b", seed, nil); err == nil || !strings.Contains(err.Error(), `name "b" belongs to the broker at `+b.at) {
			t.Errorf("the second b started by way of %s: %v", seed, err)
			if again != nil {
				again.leave()
			}
		}
	}
	a.await(t, "b")
}

func TestClusterWrongKey(t *testing.T) {
	key := func(k string) func(*Network) { return func(n *Network) { n.Key = k } }
	a := mustJoin(t, "a", "", key("a secret of the network"))
	defer a.leave()
	for i, k := range []string{"another secret of a network", ""} {
		stranger := mustJoin(t, fmt.Sprint("stranger", i), a.at, key(k))
		defer stranger.leave()
		eventually(t, "it is counted", func() bool { return a.refused.Load() > uint64(i) })
	}
	friend := mustJoin(t, "friend", a.at, key("a secret of the network"))
	defer friend.leave()
	a.await(t, "friend")
	if s := a.state.Load(); len(s.Members) != 1 {
		t.Errorf("members %v", s.Members)
	}
}

func TestNetworkIsChecked(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Network)
		err    string
	}{
		{"good", func(*Network) {}, ""},
		{"no name", func(n *Network) { n.Name = "" }, "name"},
		{"bad name", func(n *Network) { n.Name = "a b" }, "name"},
		{"nothing advertised", func(n *Network) { n.Advertise = nil }, "advertise is missing"},
		{"bad address", func(n *Network) { n.Advertise = []string{"10.0.0.1"} }, "advertise"},
		{"unix", func(n *Network) { n.Advertise = []string{"unix//run/x"} }, "clients can reach"},
		{"bad filter", func(n *Network) { n.UpdateClusterFilter = []string{"*"} }, "update_cluster_filter"},
		{"no key", func(n *Network) { n.Bind = "10.0.0.1:7946" }, "key is missing"},
		{"no key, default bind", func(n *Network) { n.Bind = "" }, "key is missing"},
		{"short key", func(n *Network) { n.Key = "secret" }, "at least 16"},
		{"name as bind", func(n *Network) { n.Bind = "localhost:7946" }, "IP address"},
		{"seed without port", func(n *Network) { n.Seeds = []string{"10.0.0.1"} }, "HOST:PORT"},
		{"too much", func(n *Network) {
			for i := range 30 {
				n.Advertise = append(n.Advertise, fmt.Sprintf("http://a-rather-long-name-%d.example:80", i))
			}
		}, "do not fit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := &Network{Name: "a", Advertise: []string{"http://a:80"}, Bind: "127.0.0.1:7946"}
			tc.change(n)
			err := n.Check()
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
		})
	}
}

// inNetwork makes this process part of a network until the test ends.
func inNetwork(t *testing.T, s *networkState) {
	t.Helper()
	network.set(s)
	t.Cleanup(func() { network.set(nil) })
}

func newURIs(t *testing.T, addresses ...string) *httptest.Server {
	t.Helper()
	srv, _ := newURIsIn(t, addresses...)
	return srv
}

// newURIsIn is newURIs with the context of its configuration.
func newURIsIn(t *testing.T, addresses ...string) (*httptest.Server, caddy.Context) {
	t.Helper()
	loading.Lock()
	base, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	loading.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(base)
	t.Cleanup(cancel)
	h := &URIs{Addresses: addresses}
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.WriteString(w, "next")
			return err
		}))
		if he, ok := err.(caddyhttp.HandlerError); ok {
			w.WriteHeader(he.StatusCode)
		}
	}))
	t.Cleanup(srv.CloseClientConnections)
	return srv, ctx
}

func askHTTP(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestServingTheList(t *testing.T) {
	srv := newURIs(t)
	if res, _ := askHTTP(t, "GET", srv.URL+pathURIs); res.StatusCode != http.StatusNotFound {
		t.Errorf("with nothing to tell: %s", res.Status)
	}
	inNetwork(t, &networkState{Name: "a", Addresses: []string{"http://a:80", "https://a:443"}, Peers: []string{"https://b:443", "http://b:80"}})
	res, body := askHTTP(t, "GET", srv.URL+pathURIs)
	if body != "http://a:80\nhttp://b:80\n" || res.Header.Get("Content-Type") != typeURIs {
		t.Errorf("told %q as %s", body, res.Header.Get("Content-Type"))
	}
	if res, body := askHTTP(t, "GET", srv.URL+pathURIs, "If-None-Match", res.Header.Get("ETag")); res.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("asked with the tag: %s", res.Status)
	}
	if res, _ := askHTTP(t, "POST", srv.URL+pathURIs); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", res.Status)
	}
	if _, body := askHTTP(t, "GET", srv.URL+"/else"); body != "next" {
		t.Errorf("another path: %q", body)
	}
	if _, body := askHTTP(t, "GET", newURIs(t, "https://public:8443").URL+pathURIs); body != "https://public:8443\nhttps://b:443\n" {
		t.Errorf("with an address of its own: %q", body)
	}
}

func TestServingTheStream(t *testing.T) {
	state := networkState{Name: "a", Addresses: []string{"http://a:80"}}
	inNetwork(t, &state)
	req, _ := http.NewRequest("GET", newURIs(t).URL+pathURIs, nil)
	req.Header.Set("Accept", typeEvents+", "+typeURIs)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	expect := func(want ...string) {
		t.Helper()
		for _, w := range append(want, "") {
			if !lines.Scan() || lines.Text() != w {
				t.Fatalf("read %q (%v), want %q", lines.Text(), lines.Err(), w)
			}
		}
	}
	expect("event: uris", "data: http://a:80")
	joined := state
	joined.Peers, joined.Rebalance = []string{"http://b:80"}, 1
	network.set(&joined)
	expect("event: uris", "data: http://a:80", "data: http://b:80")
	expect("event: rebalance", "data:")
	left := joined
	left.Peers = nil
	network.set(&left)
	expect("event: uris", "data: http://a:80")
}

// No stream keeps the process from ending: servers wait for requests, and the
// context of the configuration ends only after them.
func TestStreamEndsWithTheConfiguration(t *testing.T) {
	srv, ctx := newURIsIn(t, "http://a:80")
	req, _ := http.NewRequest("GET", srv.URL+pathURIs, nil)
	req.Header.Set("Accept", typeEvents)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	app, err := ctx.App("events")
	if err != nil {
		t.Fatal(err)
	}
	app.(*caddyevents.App).Emit(ctx, "stopping", nil)
	over := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(res.Body)
		over <- err
	}()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on")
	}
}

// A balancer of the own network never becomes a backend, and a request that
// comes back is not sent round again.
func TestLoops(t *testing.T) {
	other := newBackendServer(t, "other", nil)
	a := (&announcing{kind: typeURIs}).list("http://" + other.addr())
	var header atomic.Pointer[http.Header]
	inner := newAnnouncing(t, a)
	first := newBackendServer(t, "first", func(w http.ResponseWriter, r *http.Request) {
		header.Store(&r.Header)
		inner.Config.Handler.ServeHTTP(w, r)
	})
	inNetwork(t, &networkState{Name: "edge1", All: []string{"http://" + other.addr()}})
	p := newProxy(t, upstreams(first.addr()), listens(set("update_uris_allow", []string{other.addr()}))).start()
	eventually(t, "it is refused", func() bool { return p.refused()["own_network"] == 1 })
	if got := p.do("GET", "", "CDN-Loop", "elsewhere"); got.status != 200 {
		t.Fatalf("got %d", got.status)
	}
	marks := (*header.Load())["Cdn-Loop"]
	if want := []string{"elsewhere", fmt.Sprintf("edge1;pool=%q", first.addr())}; !slices.Equal(marks, want) {
		t.Errorf("the backend got %q, want %q", marks, want)
	}
	for _, mark := range []string{marks[1], "x, " + marks[1], "edge1", "edge1;v=2"} {
		if got := p.do("GET", "", "CDN-Loop", mark); got.status != http.StatusLoopDetected || !strings.Contains(got.header.Get("Proxy-Status"), "proxy_loop_detected") {
			t.Errorf("%q: %d, Proxy-Status %q", mark, got.status, got.header.Get("Proxy-Status"))
		}
	}
	for _, mark := range []string{"edge2", `edge1;pool="another"`, "edge10"} {
		if got := p.do("GET", "", "CDN-Loop", mark); got.status != 200 {
			t.Errorf("%q: %d", mark, got.status)
		}
	}
}

// What a parent tells at the start and later reaches the process that serves.
func TestChildIsTold(t *testing.T) {
	t.Cleanup(func() { takeParent(parentState{}) })
	data, err := json.Marshal(parentState{Network: &networkState{Name: "told"}})
	if err != nil {
		t.Fatal(err)
	}
	childTold(topicParent, data)
	if s, _ := network.get(); s == nil || s.Name != "told" {
		t.Errorf("state %+v", s)
	}
}
