// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package backend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const (
	configEnv = "CADDY_BROKER_BENCH_BACKEND"
	// patience is how long a backend may take to start or to obey.
	patience = 20 * time.Second
)

// Backend is one server; its address stays the same over all its lives. One
// goroutine at a time commands it.
type Backend struct {
	Config

	dir     string
	proc    *harness.Process
	stdin   io.WriteCloser
	answers chan string // closed with the process's output
}

// New chooses an address for a backend, but does not start it. Its files go
// into dir.
func New(name, dir string) (*Backend, error) {
	port, err := harness.FreePort()
	if err != nil {
		return nil, err
	}
	cfg := Config{
		Name: name, Addr: net.JoinHostPort("127.0.0.1", port),
		Record: filepath.Join(dir, name+".record"), Mode: Serve,
	}
	return &Backend{Config: cfg, dir: dir}, nil
}

// Start runs the backend in the mode, for the first time or after Kill, and
// returns the moment since when it listens.
func (b *Backend) Start(ctx context.Context, mode Mode) (time.Time, error) {
	b.Mode = mode
	cfg, err := json.Marshal(b.Config)
	if err != nil {
		return time.Time{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return time.Time{}, err
	}
	cmd := exec.Command(self)
	cmd.Env = []string{configEnv + "=" + string(cfg)}
	cmd.Dir = b.dir
	if b.stdin, err = cmd.StdinPipe(); err != nil {
		return time.Time{}, err
	}
	// A pipe of our own: the process's other output goes to a file.
	answers, w, err := os.Pipe()
	if err != nil {
		return time.Time{}, err
	}
	cmd.ExtraFiles = []*os.File{w}
	b.proc, err = harness.StartProcess(cmd, filepath.Join(b.dir, b.Name+".log"))
	_ = w.Close()
	if err != nil {
		_ = answers.Close()
		return time.Time{}, err
	}
	b.answers = make(chan string, 1)
	go hear(answers, b.answers)
	ready, err := b.answer(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("starting backend %s: %w", b.Name, err)
	}
	ns, err := strconv.ParseInt(ready, 10, 64)
	return time.Unix(0, ns), err
}

func hear(r *os.File, answers chan<- string) {
	defer r.Close()
	defer close(answers)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		answers <- lines.Text()
	}
}

func (b *Backend) answer(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case line, ok := <-b.answers:
		if !ok {
			return "", fmt.Errorf("the process ended: %s", b.proc.Output())
		}
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Behave changes the mode of a running backend and returns when it is in force.
func (b *Backend) Behave(ctx context.Context, mode Mode) error {
	b.Mode = mode
	if _, err := io.WriteString(b.stdin, string(mode)+"\n"); err != nil {
		return fmt.Errorf("telling backend %s to %s: %w", b.Name, mode, err)
	}
	if line, err := b.answer(ctx); err != nil || line != string(mode) {
		return fmt.Errorf("telling backend %s to %s: answer %q, %w", b.Name, mode, line, err)
	}
	return nil
}

// Kill ends the backend with SIGKILL; its port refuses until Start.
func (b *Backend) Kill() error {
	if b.proc == nil {
		return nil
	}
	err := b.proc.Kill()
	_ = b.stdin.Close()
	return err
}

// Pause stops the backend where it is; the kernel goes on accepting for it.
func (b *Backend) Pause() error { return b.proc.Signal(syscall.SIGSTOP) }

// Resume lets a paused backend go on.
func (b *Backend) Resume() error { return b.proc.Signal(syscall.SIGCONT) }

// Records are the requests that this backend began to execute in all its lives.
func (b *Backend) Records() ([]Record, error) {
	file, err := os.Open(b.Record)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it was never started
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var records []Record
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			return nil, fmt.Errorf("reading %s: bad line %q", b.Record, lines.Text())
		}
		records = append(records, Record{fields[0], fields[1], Mode(fields[2])})
	}
	return records, lines.Err()
}

// Executions counts by request id what the backends began to execute.
func Executions(backends []*Backend) (map[string]int, error) {
	counts := map[string]int{}
	for _, b := range backends {
		records, err := b.Records()
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			counts[r.ID]++
		}
	}
	return counts, nil
}
