// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// clusterFiles are the files of the example with free ports in them.
type clusterFiles struct {
	edge, front, backends string
	ports                 map[string]string // from those of the example
}

func clusterExample(t *testing.T) *clusterFiles {
	t.Helper()
	c := &clusterFiles{ports: make(map[string]string)}
	var replace []string
	for _, port := range []string{"8080", "8081", "8082", "8083", "8084", "7941", "7942", "7943", "7944", "9001", "9002", "9003"} {
		c.ports[port] = freePort(t)
		if strings.HasPrefix(port, "794") {
			c.ports[port] = gossipPort(t)
		}
		replace = append(replace, ":"+port, ":"+c.ports[port])
	}
	for name, into := range map[string]*string{"edge": &c.edge, "front": &c.front, "backends": &c.backends} {
		text, err := os.ReadFile("../examples/cluster/" + name + ".Caddyfile")
		if err != nil {
			t.Fatal(err)
		}
		*into = strings.NewReplacer(replace...).Replace(string(text))
	}
	return c
}

// gossipPort is free for TCP and UDP.
func gossipPort(t *testing.T) string {
	t.Helper()
	for range 20 {
		port := freePort(t)
		pc, err := net.ListenPacket("udp", "127.0.0.1:"+port)
		if err == nil {
			_ = pc.Close()
			return port
		}
	}
	t.Fatal("no port is free for TCP and UDP")
	return ""
}

// startEdge starts the nth balancer of the example.
func (c *clusterFiles) startEdge(t *testing.T, n int) *harness.Broker {
	t.Helper()
	return startBroker(t, c.edge, fmt.Sprint("NAME=edge", n),
		"PORT="+c.ports[fmt.Sprint(8080+n)], "GOSSIP="+c.ports[fmt.Sprint(7940+n)])
}

// awaitPool waits until of the upstreams of a broker's only pool these are up,
// and no others.
func awaitPool(t *testing.T, b *harness.Broker, ports ...string) {
	t.Helper()
	want := make(map[string]bool)
	for _, p := range ports {
		want["http://127.0.0.1:"+p] = true
	}
	awaitPools(t, b, func(pools []pool) error {
		if len(pools) != 1 {
			return fmt.Errorf("%d pools", len(pools))
		}
		up := 0
		for _, u := range pools[0].Upstreams {
			if u.State == "up" {
				if !want[u.URI] {
					return fmt.Errorf("%s is up", u.URI)
				}
				up++
			}
		}
		if up != len(want) {
			return fmt.Errorf("upstreams are %v, want %v up", pools[0].Upstreams, ports)
		}
		return nil
	})
}

// The example: a front balancer that knows one of three learns the others, goes
// on when that one is killed, with no request failed, and learns of a fourth.
func TestClusterExample(t *testing.T) {
	t.Parallel()
	c := clusterExample(t)
	backends := newBroker(t, c.backends)
	backends.Args = []string{"run", "--adapter", "caddyfile", "--config", "{}"}
	if err := backends.Start(); err != nil {
		t.Fatal(err)
	}
	edge1 := c.startEdge(t, 1)
	edge2 := c.startEdge(t, 2)
	c.startEdge(t, 3)
	// For the test, requests go to all of them, and there may be a fourth.
	front := startBroker(t, strings.NewReplacer(
		"127.0.0.1:"+c.ports["8083"], "127.0.0.1:"+c.ports["8083"]+" 127.0.0.1:"+c.ports["8084"],
		"lb_policy failover {", "lb_policy failover {\n\t\t\taffinity request").Replace(c.front))
	awaitPool(t, front, c.ports["8081"], c.ports["8082"], c.ports["8083"])
	addr := "127.0.0.1:" + c.ports["8080"]
	// What the comments of the example say to ask.
	if body := get(t, "localhost:"+c.ports["8080"]).Body; !strings.HasPrefix(body, "backend ") {
		t.Errorf("asked by the name localhost it answers %q", body)
	}
	if body := getPath(t, "localhost:"+c.ports["8081"], "/.well-known/broker-uris"); strings.Count(body, "http://") != 3 {
		t.Errorf("asked by the name localhost, edge1 tells %q", body)
	}

	// The child of a balancer dies: membership lives in its parent, and its next
	// child tells the same list.
	child := awaitActive(t, edge2, 0)
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, edge2, child)
	if body := getPath(t, "127.0.0.1:"+c.ports["8082"], "/.well-known/broker-uris"); strings.Count(body, "http://") != 3 {
		t.Errorf("the new child of edge2 tells %q", body)
	}
	awaitPool(t, front, c.ports["8081"], c.ports["8082"], c.ports["8083"])

	// Two balancers go, first the one that the front was told of, with requests
	// under way all the time.
	requests := make(chan int)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { requests <- n }()
		client := &harness.Client{Addr: addr}
		for ; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if t.Context().Err() != nil {
				return
			}
			if res := client.Do(t.Context(), fmt.Sprint(n), time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK {
				t.Errorf("request %d: %s %d %s (%v)", n, res.Fate, res.Status, res.Header.Get("Proxy-Status"), res.Err)
				return
			}
		}
	}()
	if err := edge1.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	awaitPool(t, front, c.ports["8082"], c.ports["8083"])
	c.startEdge(t, 4)
	awaitPool(t, front, c.ports["8082"], c.ports["8083"], c.ports["8084"])
	if err := edge2.Process().Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitPool(t, front, c.ports["8083"], c.ports["8084"])
	close(stop)
	if n := <-requests; n == 0 {
		t.Error("no request was sent")
	}
}

// A second broker with a name of the network does not start, and says why.
func TestClusterNameTwice(t *testing.T) {
	t.Parallel()
	c := clusterExample(t)
	c.startEdge(t, 1)
	again := newBroker(t, c.edge, "NAME=edge1", "PORT="+c.ports["8082"], "GOSSIP="+c.ports["7942"])
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-again.Process().Exited():
	case <-time.After(soon):
		t.Fatal("it runs")
	}
	if out := again.Process().Output(); !strings.Contains(out, "belongs to the broker at 127.0.0.1:"+c.ports["7941"]) {
		t.Errorf("it does not say why:\n%s", out)
	}
}

func getPath(t *testing.T, addr, path string) string {
	t.Helper()
	client := &harness.Client{Addr: addr}
	res := client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET", Path: path})
	if res.Fate != harness.OK {
		t.Fatalf("GET %s%s: %s %d (%v)", addr, path, res.Fate, res.Status, res.Err)
	}
	return res.Body
}
