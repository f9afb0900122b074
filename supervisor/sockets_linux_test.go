// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// callServer connects and returns the process id that answers.
func callServer(ctx context.Context, network, address string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// Connections made while no child accepts wait for the next one: nobody is
// refused, through crashes, replacements and a restart.
func TestNobodyIsRefused(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	address := freeAddress(t)
	for _, c := range []struct{ listen, network, address string }{
		{"tcp/" + address, "tcp", address},
		{"unix/" + dir + "/s|0600", "unix", dir + "/s"},
		{"unix/@" + filepath.Base(dir), "unix", "@" + filepath.Base(dir)},
	} {
		t.Run(c.network+c.address[:1], func(t *testing.T) {
			t.Parallel()
			w := watch(t)
			spec := childSpec(t, behaviour{Listen: []string{c.listen}}, func(s *Spec) { s.Restart.Delay, s.Restart.MaxDelay = 100*time.Millisecond, 100*time.Millisecond })
			w.start(spec)

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			stop := make(chan struct{})
			var mu sync.Mutex
			var failed []error
			answered := map[int]int{}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						pid, err := callServer(ctx, c.network, c.address)
						mu.Lock()
						if err != nil {
							failed = append(failed, err)
						} else {
							answered[pid]++
						}
						mu.Unlock()
					}
				})
			}
			serves := func() {
				until(t, "a process that answers", func() error {
					pid := w.Status().Pid
					mu.Lock()
					defer mu.Unlock()
					if answered[pid] < 20 {
						return fmt.Errorf("%d answers of %d", answered[pid], pid)
					}
					return nil
				})
			}
			for i := range 10 {
				serves()
				if pid := w.Status().Pid; i%2 == 0 {
					_ = syscall.Kill(pid, syscall.SIGKILL)
					w.other(pid)
				} else if err := w.Replace(ctx, nil); err != nil {
					t.Error(err)
				}
			}
			serves()
			close(stop)
			wg.Wait()
			total := 0
			for _, n := range answered {
				total += n
			}
			t.Logf("%d answers of %d processes, %d lost", total, len(answered), len(failed))
			// A connection that was accepted when its process was killed is lost; it
			// is reset or ended, never refused.
			for _, err := range failed {
				if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) || ctx.Err() != nil {
					t.Errorf("lost: %v", err)
				}
			}
			if len(answered) != 11 {
				t.Errorf("%d processes answered, want 11", len(answered))
			}
			if len(failed) > 5*8 {
				t.Errorf("%d lost in 5 kills of a process with 8 clients", len(failed))
			}
		})
	}
}

// A datagram socket is read by one process, which does not change while it lives
// and has not let go, and by the next one then.
func TestPacketsGoToOneProcess(t *testing.T) {
	t.Parallel()
	w := watch(t)
	address := freeAddress(t)
	w.start(childSpec(t, behaviour{Listen: []string{"udp/" + address}, Drains: true}, func(s *Spec) { s.Standby = 1 }))
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func() int {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Write([]byte("who?")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(string(buf[:n]))
		return pid
	}
	before := 0
	for i := range 6 {
		active := w.Status().Pid
		w.standby(active)
		// The one before reads on until it has heard that it was replaced.
		until(t, "the new reader", func() error {
			if pid := ask(); pid == before {
				return errors.New("the one before reads")
			} else if pid != active {
				t.Fatalf("answer of %d, want %d", pid, active)
			}
			return nil
		})
		for range 20 {
			if pid := ask(); pid != active {
				t.Fatalf("answer of %d, want %d, who read already", pid, active)
			}
		}
		before = active
		switch i % 3 {
		case 0:
			_ = syscall.Kill(active, syscall.SIGKILL)
			w.other(active)
		case 1:
			if err := w.Promote(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 2:
			if err := w.Replace(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSocketsFollowTheChild(t *testing.T) {
	t.Parallel()
	w := watch(t)
	a, b := "tcp/"+freeAddress(t), "tcp/"+freeAddress(t)
	w.start(childSpec(t, behaviour{Listen: []string{a}}))
	if got := w.Sockets().Addresses(); !slices.Equal(got, []string{a}) {
		t.Errorf("held %v", got)
	}
	// A replacement that fails leaves nothing of its own behind.
	if err := w.Replace(t.Context(), childSpec(t, behaviour{Listen: []string{a, b}, Fails: "bad"})); err == nil {
		t.Error("no error")
	}
	if got := w.Sockets().Addresses(); !slices.Equal(got, []string{a}) {
		t.Errorf("after a failed replacement: held %v", got)
	}
	// One that does not want a socket any more closes it once the old one is gone.
	if err := w.Replace(t.Context(), childSpec(t, behaviour{Listen: []string{b}})); err != nil {
		t.Fatal(err)
	}
	until(t, "the sweep", func() error {
		if got := w.Sockets().Addresses(); !slices.Equal(got, []string{b}) {
			return fmt.Errorf("held %v", got)
		}
		return nil
	})
	// While the child is dead they are kept.
	w.Tell("exit", []byte("1"))
	w.event("broker_child_exited")
	if got := w.Sockets().Addresses(); !slices.Equal(got, []string{b}) {
		t.Errorf("after a crash: held %v", got)
	}
	w.stop(control.Force)
	if got := w.Sockets().Addresses(); len(got) != 0 {
		t.Errorf("after the stop: held %v", got)
	}
	if _, err := w.Sockets().Lend(t.Context(), 99, os.Getuid(), "tcp", "127.0.0.1:0", 0); !errors.Is(err, sockets.ErrShut) {
		t.Errorf("a socket is opened after the stop: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	w := watch(t)
	err = w.Start(t.Context(), childSpec(t, behaviour{Listen: []string{"tcp/" + taken.Addr().String()}}))
	if want := "listen tcp " + taken.Addr().String() + ": bind: address already in use"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
}

// A child that wants to listen on a host whose name nobody resolves can be stopped
// all the same, at once, and others get their sockets.
func TestStopWhileANameIsResolved(t *testing.T) {
	asked, end := make(chan struct{}, 100), make(chan struct{})
	resolver := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		asked <- struct{}{}
		<-end
		return nil, errors.New("no name server")
	}}
	t.Cleanup(func() { net.DefaultResolver = resolver })
	defer close(end)
	w := watch(t)
	started := make(chan error, 1)
	go func() {
		started <- w.Start(t.Context(), childSpec(t, behaviour{Listen: []string{"tcp/127.0.0.1:0", "tcp/slow.invalid:80"}}))
	}()
	<-asked
	if ln, ok := w.Sockets().Listener("tcp", "127.0.0.1:0"); ok {
		_ = ln.Close()
	} else {
		t.Error("the socket that was opened before is not held")
	}
	w.stop(control.Force)
	if err := <-started; !errors.Is(err, ErrSuperseded) {
		t.Errorf("the start: %v, want %v", err, ErrSuperseded)
	}
}

// A process gets so many sockets that its configuration does not name, and as many as
// it names.
func TestSocketsAreLimited(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range sockets.MaxSockets + 1 {
		many = append(many, fmt.Sprintf("unix/@%s-%d-%d", t.Name(), os.Getpid(), i))
	}
	w := watch(t)
	patient := func(b behaviour) *Spec { // each socket is a question to a parent that has other things to do
		spec := childSpec(t, b)
		spec.ReadyTimeout = 5 * time.Minute
		return spec
	}
	err := w.Start(t.Context(), patient(behaviour{Asks: many}))
	if want := fmt.Sprintf("the process has %d sockets, and may have no more", sockets.MaxSockets); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
	w.start(patient(behaviour{Listen: many}))
	if n := len(w.Sockets().Addresses()); n != len(many) {
		t.Errorf("%d sockets are held", n)
	}
}
