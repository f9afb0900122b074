// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
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
	*Node
	at    string
	state atomic.Pointer[parlance.NetworkState]
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
	if err := cfg.Provision(); err != nil {
		t.Fatal(err)
	}
	m := &clusterMember{at: cfg.Bind}
	node, err := Start(cfg, zap.NewNop(), func(s *parlance.NetworkState) { m.state.Store(s) })
	if err != nil {
		return nil, err
	}
	m.Node = node
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
	testwait.Until(t, fmt.Sprintf("%s tells of %v", m.cfg.Name, peers), func() bool { return slices.Equal(m.state.Load().Peers, want) })
}

func TestClusterJoinsAndLeaves(t *testing.T) {
	a := mustJoin(t, "a", "", nil)
	defer a.Leave()
	removes := func(n *Network) { n.UpdateClusterClientsOnRemove = true }
	b := mustJoin(t, "b", a.at, removes)
	defer b.Leave()
	c := mustJoin(t, "c", a.at, func(n *Network) { n.UpdateClusterFilter = []string{"b", "x.*"}; n.RebalanceClusterClients = true })
	a.await(t, "b", "c")
	b.await(t, "a", "c")
	c.await(t, "b")
	if s := c.state.Load(); !slices.Contains(s.All, "http://a.example:80") || s.Rebalance == 0 {
		t.Errorf("state of c is %+v: it has to know all of its network", s)
	}
	c.Leave()
	b.await(t, "a")
	testwait.Until(t, "a knows that c left", func() bool { return slices.Equal(a.state.Load().Members, []string{"b"}) })
	a.await(t, "b", "c") // clients do not hear of it
}

func TestClusterNameTwice(t *testing.T) {
	a := mustJoin(t, "a", "", nil)
	defer a.Leave()
	b := mustJoin(t, "b", a.at, nil)
	defer b.Leave()
	a.await(t, "b") // it answers one who joins before it takes in what that one says
	for _, seed := range []string{a.at, b.at} {
		if again, err := joinCluster(t, "b", seed, nil); err == nil || !strings.Contains(err.Error(), `name "b" belongs to the broker at `+b.at) {
			t.Errorf("the second b started by way of %s: %v", seed, err)
			if again != nil {
				again.Leave()
			}
		}
	}
	a.await(t, "b")
}

func TestClusterWrongKey(t *testing.T) {
	key := func(k string) func(*Network) { return func(n *Network) { n.Key = k } }
	a := mustJoin(t, "a", "", key("a secret of the network"))
	defer a.Leave()
	for i, k := range []string{"another secret of a network", ""} {
		stranger := mustJoin(t, fmt.Sprint("stranger", i), a.at, key(k))
		defer stranger.Leave()
		testwait.Until(t, "it is counted", func() bool { return a.refused.Load() > uint64(i) })
	}
	friend := mustJoin(t, "friend", a.at, key("a secret of the network"))
	defer friend.Leave()
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

// Seeds that take connections and never say anything cost no more time than one.
func TestSeedsAreTriedTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for what must not happen")
	}
	const seeds = 8
	var list []string
	var together atomic.Int64
	all := make(chan struct{})
	reached := sync.OnceFunc(func() { close(all) })
	for range seeds {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		list = append(list, l.Addr().String())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if together.Add(1) == seeds {
					reached()
				}
				_, _ = io.Copy(io.Discard, c) // until the other side gives up
				_ = c.Close()
				together.Add(-1)
			}
		}()
	}
	m := mustJoin(t, "a", "", func(n *Network) { n.Seeds = list })
	defer m.Leave()
	select {
	case <-all:
	case <-time.After(30 * time.Second):
		t.Error("they were tried one after another")
	}
}

// Strangers who send rubbish are counted; they cause neither news for the clients
// nor more than a warning now and then.
func TestStrangersCauseNoWork(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for what must not happen")
	}
	cfg := &Network{Name: "a", Advertise: []string{"http://a:80"}, Bind: gossipPort(t), Key: "a secret of the network"}
	if err := cfg.Provision(); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.WarnLevel)
	var published atomic.Int64
	var state atomic.Pointer[parlance.NetworkState]
	n, err := Start(cfg, zap.New(core), func(s *parlance.NetworkState) {
		published.Add(1)
		state.Store(s)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Leave()
	udp, err := net.Dial("udp", cfg.Bind)
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	const rubbish = 200
	for i := range uint64(rubbish) {
		testwait.Until(t, "the one before was refused", func() bool {
			if n.refused.Load() >= i {
				return true
			}
			_, _ = udp.Write([]byte(strings.Repeat("rubbish", 20))) // datagrams are lost
			return false
		})
		if _, err := udp.Write([]byte(strings.Repeat("rubbish", 20))); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", cfg.Bind)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte{244, 1, 'x'}) // for a network of another label
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	if got := published.Load(); got > rubbish/4 {
		t.Errorf("news %d times", got)
	}
	if got := logs.Len(); got == 0 || got > rubbish/4 {
		t.Errorf("%d warnings", got)
	}
	testwait.Until(t, "the count is told", func() bool { return state.Load().Refused >= rubbish })
}
