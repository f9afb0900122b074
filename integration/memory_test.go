// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

var (
	leakFor   = flag.Duration("leak-for", 14*time.Second, "how long a process leaks that is recycled")
	leakRate  = flag.Int("leak-rate", 200, "requests per second that leak")
	leakLimit = flag.Int("leak-limit", 64, "max_memory of a process that leaks, in MiB")
	// How far it may be exceeded depends on how large it is beside what leaks within the
	// few seconds that a replacement takes.
	leakExcess = flag.Int("leak-excess", 300, "how far it may be exceeded, in percent")
)

// leakyBinary is the program with a handler that leaks, built once.
var leakyBinary = sync.OnceValues(func() (string, error) {
	return harness.BuildPackage(context.Background(), scratch, "integration/leaky")
})

const leakySites = `{
	admin {$ADMIN}
	broker {
		restart_delay 10ms
		{$MEMORY}
	}
}
http://:{$PORT} {
	leak {$LEAK}
	reverse_proxy {$B1} {
		lb_policy failover
	}
}
`

// leaky is a broker whose child keeps so much with each request.
func leaky(t *testing.T, leak, memory string) (b *harness.Broker, addr string) {
	t.Helper()
	backends, env := newBackends(t)
	start(t, backends[0])
	port := freePort(t)
	b = newBrokerOf(t, leakyBinary, leakySites, append(env, "PORT="+port, "LEAK="+leak, "MEMORY="+memory)...)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	return b, "127.0.0.1:" + port
}

// A process whose memory grows is replaced before that takes the machine's, and no request
// fails for it.
func TestLeakingChildIsRecycled(t *testing.T) {
	b, addr := leaky(t, "100KiB", "max_memory "+strconv.Itoa(*leakLimit)+"MiB\n\t\tmax_memory_interval 1s")
	load := harness.Load{
		Client: &harness.Client{Addr: addr, KeepAlive: true, Watch: true},
		Rate:   float64(*leakRate), Count: int(leakFor.Seconds() * float64(*leakRate)), Name: "leak",
	}
	run := load.Start(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.Wait()
	}()
	most, processes := peakMemory(t, b, ended)
	results := run.Wait()
	t.Logf("%s; at most %d MiB in one of %d processes, of %d MiB", results, most>>20, processes, *leakLimit)
	if failed := results.Failed(); len(failed) > 0 {
		t.Errorf("%d requests failed, the first: %s %v", len(failed), failed[0].Fate, failed[0].Err)
	}
	if processes < 2 {
		t.Error("it was not replaced")
	}
	if limit := int64(*leakLimit) << 20; most > limit+limit*int64(*leakExcess)/100 {
		t.Errorf("%d MiB, which is more than %d %% above %d MiB", most>>20, *leakExcess, *leakLimit)
	}
	if err := harness.Until(t.Context(), soon, func() error {
		if n := strings.Count(b.Process().Output(), `"reason":"recycled"`); n < processes-1 {
			return fmt.Errorf("%d processes are gone of %d", n, processes-1)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if n := strings.Count(b.Process().Output(), "broker_child_recycled"); n != processes-1 {
		t.Errorf("%d lines say that a process was recycled, of %d that were", n, processes-1)
	}
}

// peakMemory looks at the processes that serve until ended is closed, and returns the most
// that one of them had for itself, and how many there were.
func peakMemory(t *testing.T, b *harness.Broker, ended <-chan struct{}) (most int64, processes int) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	seen := make(map[int]bool)
	for {
		var child harness.Child
		if err := b.Admin(t.Context(), http.MethodGet, "/broker/children/default", &child); err != nil {
			t.Fatal(err)
		}
		for _, p := range child.Processes {
			if p.State != "starting" {
				seen[p.Pid] = true
			}
			most = max(most, ownMemory(p.Pid))
		}
		select {
		case <-ended:
			return most, len(seen)
		case <-tick.C:
		}
	}
}

// ownMemory is the anonymous memory of a process, 0 for one that is gone.
func ownMemory(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}

// A limit that leaves no room for the program is an error that says what it takes.
func TestMaxMemoryBelowWhatIsLoaded(t *testing.T) {
	t.Parallel()
	b := newBroker(t, "{\n\tadmin {$ADMIN}\n\tbroker {\n\t\tmax_memory 2MiB\n\t}\n}\nhttp://:{$PORT} {\n}\n", "PORT="+freePort(t))
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	<-b.Process().Exited()
	out := b.Process().Output()
	if code := b.Process().ExitCode(); code != 1 || !strings.Contains(out, "option max_memory: value 2.0 MiB is not allowed: a process that has just been loaded takes") {
		t.Errorf("it ended with %d:\n%s", code, out)
	}
}

// The system ends the child when there is no memory left, not the parent, and that is said.
func TestChildOutOfMemory(t *testing.T) {
	group := memoryGroup(t, 256<<20)
	b, addr := leaky(t, "16MiB", "")
	parent, child := b.Process().Pid(), awaitActive(t, b, 0)
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(child)), 0o600); err != nil {
		t.Skipf("processes cannot be put into a group: %v", err)
	}
	if parentScore, childScore := oomScore(t, parent), oomScore(t, child); childScore <= parentScore {
		t.Errorf("the child is ended at %d, the parent at %d", childScore, parentScore)
	}
	moved := time.Now()
	if err := harness.Until(t.Context(), soon, func() error { // the parent looks at it each second
		var now struct {
			Processes []struct {
				LastHeartbeat time.Time `json:"last_heartbeat"`
			}
		}
		err := b.Admin(t.Context(), http.MethodGet, "/broker/children/default", &now)
		if err == nil && (len(now.Processes) != 1 || now.Processes[0].LastHeartbeat.Sub(moved) < 2*time.Second) {
			err = fmt.Errorf("the processes are %+v", now.Processes)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	load := harness.Load{Client: &harness.Client{Addr: addr, KeepAlive: true}, Rate: 20, Name: "leak"}
	run := load.Start(t.Context())
	exit := lastExit(t, b, "oom")
	run.Stop()
	if exit.Signal != "SIGKILL" || exit.Peak < 100<<20 {
		t.Errorf("the exit is %+v", exit)
	}
	if err := syscall.Kill(parent, 0); err != nil {
		t.Errorf("the parent: %v", err)
	}
	awaitActive(t, b, child)
	get(t, addr)
}

// memoryGroup is a group of processes that have so much memory together, if this system
// lets one be made. It is below the group of this process, and goes with the test.
func memoryGroup(t *testing.T, limit int64) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("no groups of processes: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, place, _ := strings.Cut(rest, ":")
		root, file := "/sys/fs/cgroup", "memory.max"
		switch controllers {
		case "memory":
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case "":
		default:
			continue
		}
		group := filepath.Join(root, place, "caddy-broker-test-"+strconv.Itoa(os.Getpid()))
		if err = os.Mkdir(group, 0o700); err != nil {
			continue
		}
		t.Cleanup(func() {
			// The processes in it end when the test does, before this.
			if err := harness.Until(context.Background(), soon, func() error { return os.Remove(group) }); err != nil {
				t.Errorf("removing the group: %v", err)
			}
		})
		if err = os.WriteFile(filepath.Join(group, file), []byte(strconv.FormatInt(limit, 10)), 0o600); err == nil {
			return group
		}
	}
	t.Skipf("no group of processes with a limit of memory can be made here: %v", err)
	return ""
}

func oomScore(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
