// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-broker/caddy-broker/internal/sidebyside"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// The test binary runs itself as the programs that are supervised: envTest says
// as which.
const envTest = "SUPERVISOR_TEST"

func TestMain(m *testing.M) {
	programs := map[string]func() int{
		"child": childMain, "middle": middleMain, "external": externalMain, "sleeper": sleeperMain,
	}
	if program := programs[os.Getenv(envTest)]; program != nil {
		os.Exit(program())
	}
	sidebyside.Tests(8)
	goleak.VerifyTestMain(m)
}

// patience is how long something may take that follows at once, on a busy machine.
const patience = 30 * time.Second

// watched is a supervisor under test, with what it said.
type watched struct {
	*Supervisor
	t      *testing.T
	events chan Event
	dir    string // of private sockets

	mu      sync.Mutex
	output  strings.Builder
	reports map[string]json.RawMessage // the last of each topic
}

// keptOpen is a writer that outlives what writes to it.
type keptOpen struct{ io.Writer }

func (keptOpen) Close() error { return nil }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.Write(p)
}

// watch makes a supervisor that is closed when the test ends.
func watch(t *testing.T, adjust ...func(*Config)) *watched {
	t.Helper()
	dir, err := os.MkdirTemp("", "sv") // t.TempDir() is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, events: make(chan Event, 10_000), dir: dir, reports: map[string]json.RawMessage{}}
	cfg := Config{
		Name: "default", Stderr: func(int) io.WriteCloser { return keptOpen{w} },
		AdminSocket: func(id int, _ string) string { return filepath.Join(dir, fmt.Sprint(id)) },
		Event:       func(e Event) { w.events <- e },
		Report: func(_ int, topic string, data json.RawMessage) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports[topic] = data
			if topic == "refused" {
				return errors.New("not from you")
			}
			return nil
		},
	}
	for _, f := range adjust {
		f(&cfg)
	}
	w.Supervisor = New(cfg)
	t.Cleanup(func() {
		w.Close()
		_ = os.RemoveAll(dir)
		if t.Failed() {
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Logf("output of the processes:\n%s", w.output.String())
		}
	})
	return w
}

// event waits for the next event of that name.
func (w *watched) event(name string) Event {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case e := <-w.events:
			if e.Name == name {
				return e
			}
		case <-timeout:
			w.t.Fatalf("no event %s", name)
		}
	}
}

// other waits until another process than pid serves, and returns its id.
func (w *watched) other(pid int) (next int) {
	w.t.Helper()
	until(w.t, "another process", func() error {
		st := w.Status()
		if next = st.Pid; st.State != "active" || next == pid {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	return next
}

// report waits for what a process has to say about topic.
func (w *watched) report(topic string, into any) {
	w.t.Helper()
	until(w.t, "report of "+topic, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.reports[topic] == nil {
			return errors.New("nothing was said")
		}
		return json.Unmarshal(w.reports[topic], into)
	})
}

func (w *watched) start(spec *Spec) {
	w.t.Helper()
	if err := w.Start(w.t.Context(), spec); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) stop(mode control.Mode) {
	w.t.Helper()
	if err := w.Stop(w.t.Context(), mode); err != nil {
		w.t.Fatal(err)
	}
}

// until asks check until it returns nil.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// alive reports whether a process runs, and is not only waited for.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// ended waits until a process does not run any more.
func ended(t *testing.T, pid int) {
	t.Helper()
	until(t, "end of a process", func() error {
		if alive(pid) {
			return fmt.Errorf("process %d runs", pid)
		}
		return nil
	})
}

// hosts counts the hosts that freeAddress has given away.
var hosts atomic.Uint32

// freeAddress is an address that nothing listens on. Its host, one of this machine's
// many, belongs to this call alone: no test beside this one can be given the port.
func freeAddress(t *testing.T) string {
	t.Helper()
	pid, n := os.Getpid(), hosts.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+pid>>8&0x7f, pid&0xff, n))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
