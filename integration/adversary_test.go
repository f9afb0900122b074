// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// adversaryFile has two sites with the same backends: one with the policy, and beside
// it what Caddy does by itself.
const adversaryFile = `{
	admin {$ADMIN}
}
(transport) {
	transport http {
		versions {$VERSIONS:1.1}
	}
}
http://:{$PORT_OURS} {
	reverse_proxy {$B1} {$B2} {
		import transport
		lb_policy failover {
			randomize false
			{$OPTIONS}
		}
	}
}
http://:{$PORT_STOCK} {
	reverse_proxy {$B1} {$B2} {
		import transport
		lb_policy round_robin
		lb_try_duration 5s
	}
}
`

// evil is where the adversary comes from, which is not where the others do.
const evil = "127.0.0.2"

// adversary is one client that does what it can to keep others from their answers.
type adversary struct {
	name string
	env  []string
	// fault is what happens to the backends meanwhile, with and without the adversary, and
	// repair ends it; nil for nothing.
	fault, repair func(s *scene) error
	// before is what the adversary does before the fault, and amid what it does between fault and repair.
	before, amid func(s *scene)
	// check looks at what the others got.
	check func(s *scene, results harness.Results)
	// requests are those of the others; nil for some of each kind.
	requests []harness.Request
	// stock says that Caddy itself can do what the adversary attacks.
	stock bool
}

// scene is one run of an adversary, or of its absence.
type scene struct {
	*testing.T
	ctx      context.Context
	stop     context.CancelFunc
	addr     string
	backends []*harness.Backend
	runs     []*harness.Run
	conns    []net.Conn
	repaired time.Time
	starved  *harness.Starved
}

// asks sends requests from the adversary's address, so many per second.
func (s *scene) asks(rate float64, requests ...harness.Request) *harness.Run {
	load := harness.Load{Client: &harness.Client{Addr: s.addr, From: evil}, Rate: rate, Name: "evil", Requests: requests}
	run := load.Start(s.ctx)
	s.runs = append(s.runs, run)
	return run
}

// polls has so many requests in progress that take as long as the test.
func (s *scene) polls(n int) {
	s.Helper()
	load := harness.Load{
		Client: &harness.Client{Addr: s.addr, From: evil}, Rate: 1000, Count: n, Name: "poll",
		Requests: []harness.Request{{Method: "GET", Path: "/?delay=1m"}},
	}
	run := load.Start(s.ctx)
	s.runs = append(s.runs, run)
	if err := run.AwaitSent(s.ctx, n); err != nil {
		s.Fatal(err)
	}
}

// stalls sends so many requests that never send the rest of their bodies.
func (s *scene) stalls(n int, header string) {
	s.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(evil)}}
	for range n {
		c, err := dialer.DialContext(s.ctx, "tcp", s.addr)
		if err == nil {
			_, err = fmt.Fprintf(c, "%s\r\nHost: x\r\nContent-Length: 16000\r\n\r\nbegin", header)
		}
		if err != nil {
			s.Fatal(err)
		}
		s.conns = append(s.conns, c)
	}
}

// end ends the adversary.
func (s *scene) end() {
	s.stop()
	for _, run := range s.runs {
		run.Stop()
	}
	for _, c := range s.conns {
		_ = c.Close()
	}
}

func killHome(s *scene) error { return s.backends[0].Kill() }

func startHome(s *scene) error {
	err := s.backends[0].Start(s.ctx)
	s.starved.Follow(s.backends[0].Pid())
	return err
}
func killBoth(s *scene) error { return firstError(s.backends[0].Kill(), s.backends[1].Kill()) }
func onlyOthers(*scene)       {}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var adversaries = []adversary{
	{
		name: "long polls when a backend dies", stock: true,
		before: func(s *scene) { s.polls(40) },
		fault:  killHome,
	},
	{
		name: "stalled uploads in an outage", stock: true,
		fault: killBoth, repair: startHome,
		amid: func(s *scene) { s.stalls(60, "POST / HTTP/1.1") },
	},
	{
		name: "stalled trials", env: []string{"OPTIONS=priority_backup"},
		fault: killHome, repair: startHome,
		amid: func(s *scene) {
			s.stalls(20, "GET / HTTP/1.1")
			s.asks(40, harness.Request{Method: "GET", Path: "/?delay=1m"})
		},
		check: homeServes,
	},
	{
		name: "trials answered with 503", env: []string{"OPTIONS=priority_backup"},
		fault: killHome, repair: startHome,
		amid:  func(s *scene) { s.asks(100, harness.Request{Method: "GET", Path: "/?status=503"}) },
		check: homeServes,
	},
	{
		name: "lost trials", env: []string{"OPTIONS=priority_backup"},
		fault: killHome, repair: startHome,
		amid:  func(s *scene) { s.asks(100, harness.Request{Method: "GET", Path: "/?close"}) },
		check: homeServes,
	},
	{
		name:     "stalled uploads that are kept",
		requests: []harness.Request{{Method: "PUT", Path: "/?delay=200ms", Body: make([]byte, 1000)}},
		before:   func(s *scene) { s.stalls(40, "PUT / HTTP/1.1") },
		fault:    killHome,
		check:    allAnswered,
	},
	{
		name: "GET that closes connections", stock: true,
		before: func(s *scene) { s.asks(100, harness.Request{Method: "GET", Path: "/?close"}) },
		check:  homeStays,
	},
	{
		name: "POST that closes connections", stock: true,
		before: func(s *scene) { s.asks(100, harness.Request{Method: "POST", Path: "/?close", Body: []byte("x")}) },
		check:  homeStays,
	},
	{
		name: "requests that reset streams", stock: true, env: []string{"VERSIONS=h2c 2"},
		before: func(s *scene) {
			s.asks(100, harness.Request{Method: "GET", Path: "/?close"}, harness.Request{Method: "POST", Path: "/?close", Body: []byte("x")})
		},
		check: homeStays,
	},
}

// homeStays wants all but a few answers from the first backend.
func homeStays(s *scene, results harness.Results) {
	s.Helper()
	home := results.Where(func(r *harness.Result) bool { return r.Header.Get(harness.BackendName) == s.backends[0].Name })
	s.Logf("home answered %d of %d", len(home), len(results))
	if len(home)*100 < len(results)*95 {
		s.Errorf("home answered only %d of %d", len(home), len(results))
	}
}

// allAnswered wants an answer to every request, whatever died with it.
func allAnswered(s *scene, results harness.Results) {
	s.Helper()
	for _, r := range results.Failed() {
		s.Errorf("%s: %s %d %s (%v)", r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
	}
}

// homeServes wants answers of the first backend soon after its return.
func homeServes(s *scene, results harness.Results) {
	s.Helper()
	for _, r := range results {
		if r.Due.After(s.repaired) && r.Header.Get(harness.BackendName) == s.backends[0].Name {
			s.Logf("home serves %v after its return", r.End.Sub(s.repaired).Round(time.Millisecond))
			return
		}
	}
	s.Errorf("home has not come back")
}

// TestOneClientAgainstTheOthers: while one client does its worst, the others get their
// answers, and hardly later than without it.
func TestOneClientAgainstTheOthers(t *testing.T) {
	t.Parallel()
	for _, a := range adversaries {
		t.Run(a.name, func(t *testing.T) {
			if a.stock {
				t.Logf("stock, attacked: %s", a.play(t, "STOCK", true))
			}
			// A machine that is busy with something else for one of the two makes them
			// differ; a fault of ours is there each time.
			var err error
			for range 3 {
				calm := a.play(t, "OURS", false)
				t.Logf("ours, calm:      %s", calm)
				attacked := a.play(t, "OURS", true)
				t.Logf("ours, attacked:  %s", attacked)
				if err = hardlyWorse(calm, attacked); err == nil {
					return
				}
				t.Log(err)
			}
			t.Errorf("three times in a row: %v", err)
		})
	}
}

// hardlyWorse wants the others to have got as many answers as without the adversary,
// and hardly later.
func hardlyWorse(calm, attacked harness.Results) error {
	was, is := len(calm)-len(calm.Failed()), len(attacked)-len(attacked.Failed())
	// A run in which a backend took longer to come back has more requests.
	if is*len(calm)*100 < was*len(attacked)*95 {
		return fmt.Errorf("%d answers of %d, %d of %d without the adversary", is, len(attacked), was, len(calm))
	}
	// What waits for the adversary waits for seconds, and so do half of the others.
	return errors.Join(
		notLater(calm, attacked, .5, time.Second),
		notLater(calm, attacked, .99, 250*time.Millisecond+2*calm.Percentile(.99)))
}

// notLater wants a share of the answers as soon as without the adversary: in twice that
// time, or in least.
func notLater(calm, attacked harness.Results, share float64, least time.Duration) error {
	is, was := attacked.Percentile(share), calm.Percentile(share)
	if most := max(2*was, least); is > most {
		return fmt.Errorf("p%v is %v, want %v at most, since it is %v without the adversary", 100*share, is, most, was)
	}
	return nil
}

// play lets the others, and the adversary if it is there, use one of the sites, and
// returns what the others got. What these waited for a processor is not in its times: the
// adversary costs some, and on a machine that has none to spare this alone makes latencies
// of seconds.
func (a *adversary) play(t *testing.T, site string, attacked bool) harness.Results {
	t.Helper()
	const phase = 1500 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	backends, env := newBackends(t)
	start(t, backends...)
	port := freePort(t)
	other := map[string]string{"OURS": "STOCK", "STOCK": "OURS"}[site]
	broker := newBroker(t, adversaryFile, append(append(env, a.env...), "PORT_"+site+"="+port, "PORT_"+other+"="+freePort(t))...)
	broker.Args = []string{"run", "--config", "{}", "--adapter", "caddyfile"}
	if err := broker.Start(); err != nil {
		t.Fatal(err)
	}
	s := &scene{T: t, ctx: ctx, stop: stop, addr: "127.0.0.1:" + port, backends: backends}
	s.starved = harness.WatchStarved(broker.Process().Pid(), backends[0].Pid(), backends[1].Pid())
	defer s.end()
	awaitGood(t, s.addr)
	before, amid := onlyOthers, onlyOthers
	if attacked {
		if a.before != nil {
			before = a.before
		}
		if a.amid != nil {
			amid = a.amid
		}
	}
	before(s)
	load := harness.Load{
		Client: &harness.Client{Addr: s.addr, KeepAlive: true, Watch: true, Timeout: 10 * time.Second}, Rate: 60, Name: "good",
		Requests: []harness.Request{{Method: "GET"}, {Method: "GET", Path: "/?delay=5ms"}, {Method: "GET"}, {Method: "POST", Body: []byte("x")}},
	}
	if a.requests != nil {
		load.Requests = a.requests
	}
	run := load.Start(ctx)
	await := func() { sent(t, run, int(load.Rate*phase.Seconds())) }
	await()
	if a.fault != nil {
		if err := a.fault(s); err != nil {
			t.Fatal(err)
		}
	}
	amid(s)
	await()
	if a.repair != nil {
		if err := a.repair(s); err != nil {
			t.Fatal(err)
		}
		s.repaired = time.Now()
	}
	for range 3 {
		await()
	}
	results := run.Stop()
	waited := s.starved.Stop()
	fed := s.starved.Without(results)
	t.Logf("p99 %v, with %v for a processor; all waited %v for one", fed.Percentile(.99), results.Percentile(.99), waited)
	if a.check != nil && site == "OURS" {
		a.check(s, results)
	}
	return fed
}

// awaitGood waits until the site answers.
func awaitGood(t *testing.T, addr string) {
	t.Helper()
	client := &harness.Client{Addr: addr}
	if err := harness.Until(t.Context(), soon, func() error {
		if res := client.Do(t.Context(), "", time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK {
			return fmt.Errorf("%s %d %w", res.Fate, res.Status, res.Err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
