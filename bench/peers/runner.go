// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// runner keeps one program running: it starts it again after its death where the
// program's kind wants that, and ends it, with its group, at the end.
type runner struct {
	kind kind
	dir  string
	pass *os.File      // descriptor 3 of the program; nil: none
	stop chan struct{} // closed by Stop
	done chan struct{} // closed when the keeper has ended

	once    sync.Once
	stopped error // by once

	mu   sync.Mutex
	proc *harness.Process // by mu
	err  error            // by mu; why it could not be started again
}

func run(k kind, dir string, pass *os.File) (*runner, error) {
	r := &runner{kind: k, dir: dir, pass: pass, stop: make(chan struct{}), done: make(chan struct{})}
	proc, err := r.launch()
	if err != nil {
		return nil, err
	}
	r.proc = proc
	go r.keep(proc)
	return r, nil
}

func (r *runner) launch() (*harness.Process, error) {
	args := r.kind.command()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = r.dir
	cmd.Env = r.environ()
	if r.pass != nil {
		cmd.ExtraFiles = []*os.File{r.pass}
	}
	return harness.StartProcess(cmd, filepath.Join(r.dir, "output.log"))
}

// environ shares nothing with the user's own Caddy.
func (r *runner) environ() []string {
	return slices.Concat([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + r.dir, "TMPDIR=" + r.dir, "XDG_CONFIG_HOME=" + r.dir,
		"XDG_DATA_HOME=" + r.dir, "XDG_RUNTIME_DIR=" + r.dir,
	}, r.kind.env())
}

// keep waits for the program's end and starts it again.
func (r *runner) keep(proc *harness.Process) {
	defer close(r.done)
	for {
		select {
		case <-r.stop:
			return
		case <-proc.Exited():
		}
		delay := r.kind.revived()
		if delay == 0 {
			return
		}
		// What is left of the group still holds the ports.
		_ = syscall.Kill(-proc.Pid(), syscall.SIGKILL)
		select {
		case <-r.stop:
			return
		case <-time.After(delay):
		}
		next, err := r.launch()
		r.mu.Lock()
		if err != nil {
			r.err = err
			r.mu.Unlock()
			return
		}
		r.proc, proc = next, next
		r.mu.Unlock()
	}
}

// Master is the id of the process that was started.
func (r *runner) Master() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc.Pid()
}

func (r *runner) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc.Output()
}

// Stop ends the program in order, or else by force, and all of its group. A
// second call does nothing.
func (r *runner) Stop() error {
	r.once.Do(func() { r.stopped = r.end() })
	return r.stopped
}

func (r *runner) end() error {
	close(r.stop)
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	err := errors.Join(r.err, r.proc.Signal(syscall.SIGTERM))
	if r.pass != nil {
		err = errors.Join(err, r.pass.Close())
	}
	select {
	case <-r.proc.Exited():
	case <-time.After(stopPatience):
		err = errors.Join(err, errors.New("the program did not end after SIGTERM"), r.proc.Kill())
	}
	// Its id names the group as long as somebody is left in it.
	if left := syscall.Kill(-r.proc.Pid(), syscall.SIGKILL); left != nil && !errors.Is(left, syscall.ESRCH) {
		err = errors.Join(err, left)
	}
	return err
}

func joinStop(err error, p *Proxy) error { return errors.Join(err, p.Stop()) }
