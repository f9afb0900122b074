// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// programEnv makes this test's own binary a program that a runner can start.
const programEnv = "CADDY_BROKER_BENCH_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		select {} // until a signal
	}
	goleak.VerifyTestMain(m)
}

// cases are those that templates know.
var cases = []string{"kill", "reload", "refuse", "hang", "drop", "close", "reset", "cut", "outage", "failback", "cost", "memory"}

func TestTemplatesFit(t *testing.T) {
	for _, name := range []string{"plugin.caddyfile", "stock.caddyfile", "soak.caddyfile", "nginx.conf", "haproxy.cfg"} {
		for _, c := range cases {
			for _, tls := range []bool{false, true} {
				site := &Site{
					Case: c, TLS: tls, Dir: t.TempDir(), Port: "1234", Admin: "127.0.0.1:1", Workers: 3, HA: true, Policy: true,
					Passed:   c == "kill" && strings.Contains("stock.caddyfile haproxy.cfg", name),
					Backends: []string{"127.0.0.1:81", "127.0.0.1:82"},
				}
				if tls {
					if err := site.certify(); err != nil {
						t.Fatal(err)
					}
				}
				path, err := site.render(name)
				if err != nil {
					t.Fatalf("%s, case %s: %v", name, c, err)
				}
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				wants := []string{"1234", "127.0.0.1:81", "127.0.0.1:82"}
				if site.Passed {
					wants[0] = "bind fd"
				}
				for _, want := range wants {
					if !bytes.Contains(text, []byte(want)) {
						t.Errorf("%s, case %s: %s is missing in\n%s", name, c, want, text)
					}
				}
				if bytes.Count(text, []byte("{")) != bytes.Count(text, []byte("}")) {
					t.Errorf("%s, case %s: braces do not match in\n%s", name, c, text)
				}
				if bytes.Contains(text, []byte("<no value>")) {
					t.Errorf("%s, case %s: something is not filled in:\n%s", name, c, text)
				}
			}
		}
	}
}

func TestCPUOfStat(t *testing.T) {
	stat := []byte("42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 100 1000 10 0")
	if used, err := cpuOf(stat); err != nil || used != 460*time.Millisecond {
		t.Errorf("%s, %v", used, err)
	}
	if _, err := cpuOf([]byte("42 (short) S 1")); err == nil {
		t.Error("a short line is no error")
	}
}

func TestKilobytes(t *testing.T) {
	text := "VmRSS:\t  100 kB\nRssAnon:\t    9876 kB\n"
	if n, err := kilobytes(text, "RssAnon:"); err != nil || n != 9876*1024 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := kilobytes(text, "Pss:"); err == nil {
		t.Error("a field that is missing is no error")
	}
}

func TestOwnProcessIsSeen(t *testing.T) {
	m, err := MemoryOf(os.Getpid())
	if err != nil || m.Anonymous < 1<<20 || m.Proportional < m.Anonymous/2 {
		t.Errorf("memory %+v, %v", m, err)
	}
	used, err := CPU([]int{os.Getpid(), 1 << 30}) // no process has the second id
	if err != nil || used < 0 {
		t.Errorf("%s, %v", used, err)
	}
	before, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if after, err := Descriptors(os.Getpid()); err != nil || after != before+1 {
		t.Errorf("%d descriptors and then %d, %v", before, after, err)
	}
}

// A dial to a full queue is pending until it is given up.
func TestDiallingCountsPendingDials(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err = raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 5)
	for range cap(ended) {
		go func() {
			defer func() { ended <- struct{}{} }()
			if conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String()); err == nil {
				defer conn.Close()
				<-ctx.Done()
			}
		}()
	}
	err = harness.Until(t.Context(), 10*time.Second, func() error {
		n, err := Dialling(l.Addr().String())
		if err == nil && n == 0 {
			err = errors.New("no dial is pending")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	for range cap(ended) {
		<-ended
	}
}

// program is a kind that does nothing.
type program struct {
	path  string
	again time.Duration
}

func (p program) command() []string { return []string{p.path} }
func (p program) env() []string     { return []string{programEnv + "=1"} }

func (p program) ready(context.Context, int) error { return nil }

func (p program) workers(context.Context, int) ([]int, error) { return nil, nil }
func (p program) reload(context.Context, *Proxy) error        { return nil }
func (p program) revived() time.Duration                      { return p.again }

func TestRunnerStartsAgainAndStops(t *testing.T) {
	for _, again := range []time.Duration{0, time.Millisecond} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		r, err := run(program{self, again}, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err)
		}
		first := r.Master()
		if err = syscall.Kill(first, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if again == 0 {
			<-r.done
		} else if err = harness.Until(t.Context(), 10*time.Second, func() error {
			if r.Master() == first {
				return errors.New("it was not started again")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		last := r.Master()
		if err = errors.Join(r.Stop(), r.Stop()); err != nil {
			t.Error(err)
		}
		if harness.Alive(last) {
			t.Errorf("process %d lives", last)
		}
	}
}

func TestChildrenOf(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids, err := childrenOf(os.Getpid())
	if err != nil || len(pids) == 0 {
		t.Errorf("children %v, %v", pids, err)
	}
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
}
