// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
	"github.com/caddy-broker/caddy-broker/internal/sidebyside"
)

// soon is how long something may take that follows at once, on a machine that is
// busy with other things. It is no expectation, only where waiting has no sense.
const soon = 30 * time.Second

var scratch string // the directory of all tests

func TestMain(m *testing.M) {
	harness.BackendMain()
	harness.ProgramMain()
	// Most of the time they wait. Those that measure a time, or load both processors, do not call t.Parallel,
	// so that they run before the others, one by one.
	sidebyside.Tests(6)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// The private sockets of children need short paths, and the kernel tells
	// paths without symbolic links.
	dir, err := os.MkdirTemp("", "cb")
	if err == nil {
		scratch, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
}

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	if built := os.Getenv(isolatedEnv); built != "" {
		return built, nil
	}
	return harness.Build(context.Background(), scratch)
})

// core are the tests that run with -short too: what users do first, and one reload.
var core = []string{"TestQuickstart", "TestReload", "TestStatus"}

// skipShort ends all but the core where -short was asked for.
func skipShort(t *testing.T) {
	t.Helper()
	if first, _, _ := strings.Cut(t.Name(), "/"); testing.Short() && !slices.Contains(core, first) {
		t.Skip("it takes seconds, with real processes")
	}
}

// newBroker is a broker with a directory of its own, not started. It is stopped
// when the test ends, and the test fails if a process of it is left then.
func newBroker(t *testing.T, caddyfile string, env ...string) *harness.Broker {
	t.Helper()
	return newBrokerOf(t, binary, caddyfile, env...)
}

// newBrokerOf is the same with another program.
func newBrokerOf(t *testing.T, built func() (string, error), caddyfile string, env ...string) *harness.Broker {
	t.Helper()
	skipShort(t)
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := harness.NewBroker(bin, dir, caddyfile)
	if err != nil {
		t.Fatal(err)
	}
	b.Env = env
	t.Cleanup(func() {
		// The test's own context is over by now.
		if err := b.Stop(context.Background()); err != nil {
			t.Errorf("stopping the broker: %v", err)
		}
		if t.Failed() && b.Process() != nil {
			t.Logf("output of the broker:\n%s", b.Process().Output())
		}
	})
	return b
}

// startBroker is a broker whose child serves.
func startBroker(t *testing.T, caddyfile string, env ...string) *harness.Broker {
	t.Helper()
	b := newBroker(t, caddyfile, env...)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	return b
}

// awaitActive waits until the child serves in another process than notPid, and
// returns its process id.
func awaitActive(t *testing.T, b *harness.Broker, notPid int) int {
	t.Helper()
	child, err := b.AwaitActive(t.Context(), notPid)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.Process().Output())
	}
	return child.Pid
}

// newBackends are backends named one, two, three and as more says, not started,
// and the variables that name them in a Caddyfile: {$B1}, {$B2}, {$B3}….
func newBackends(t *testing.T, more ...string) ([]*harness.Backend, []string) {
	t.Helper()
	var backends []*harness.Backend
	var env []string
	for i, name := range append([]string{"one", "two", "three"}, more...) {
		b, err := harness.NewBackend(name, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Stop(); err != nil {
				t.Errorf("stopping backend %s: %v", name, err)
			}
		})
		backends = append(backends, b)
		env = append(env, fmt.Sprintf("B%d=%s", i+1, b.Addr))
	}
	return backends, env
}

func start(t *testing.T, backends ...*harness.Backend) {
	t.Helper()
	for _, b := range backends {
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// executions adds up what all backends recorded, by request.
func executions(t *testing.T, backends []*harness.Backend) map[string]int {
	t.Helper()
	sum := map[string]int{}
	for _, b := range backends {
		counts, err := b.Executions()
		if err != nil {
			t.Fatal(err)
		}
		for id, n := range counts {
			sum[id] += n
		}
	}
	return sum
}

// get sends one GET and fails the test unless the answer is good.
func get(t *testing.T, addr string) *harness.Result {
	t.Helper()
	client := &harness.Client{Addr: addr}
	res := client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET"})
	if res.Fate != harness.OK {
		t.Fatalf("GET %s: %s %d %q (%v)", addr, res.Fate, res.Status, res.Body, res.Err)
	}
	return res
}

// inDoubt reports whether the answer says that the request may have been executed.
func inDoubt(res *harness.Result) bool {
	return strings.Contains(res.Header.Get("Proxy-Status"), `details="in-doubt"`)
}

// served counts the answers of a run by who gave them, and wants all of them good.
func served(t *testing.T, results harness.Results) map[string]int {
	t.Helper()
	t.Log(results)
	by := map[string]int{}
	for _, r := range results {
		by[r.Header.Get(harness.BackendName)]++
		if r.Fate != harness.OK {
			t.Errorf("%s: %s %d %s (%v)", r.ID, r.Fate, r.Status, r.Header.Get("Proxy-Status"), r.Err)
		}
	}
	return by
}

func sent(t *testing.T, run *harness.Run, n int) {
	t.Helper()
	if err := run.AwaitSent(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// strikes are the times at which something was killed.
type strikes []struct{ before, after time.Time }

func (s *strikes) strike(t *testing.T, kill func() error) {
	t.Helper()
	before := time.Now()
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	*s = append(*s, struct{ before, after time.Time }{before, time.Now()})
}

// hit reports whether the request had its connection, and no answer, at a strike. A
// connection may have been there since its sender began to dial.
func (s strikes) hit(r *harness.Result) bool {
	return slices.ContainsFunc(s, func(at struct{ before, after time.Time }) bool {
		return !r.Dialed.IsZero() && r.Began.Before(at.after) && r.End.After(at.before)
	})
}
