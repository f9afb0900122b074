// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// backendEnv carries a backendConfig to a process that shall be a backend.
const backendEnv = "CADDY_BROKER_HARNESS_BACKEND"

type backendConfig struct {
	Name   string `json:"name"`
	Addr   string `json:"addr"`
	Record string `json:"record"`
}

// Backend is a small HTTP server in a process of its own. It answers every
// request with its name, after the time in the query parameter delay. Each one
// that carries RequestID it records before it does anything else, and tells in
// the answer what it had to do besides (Begun, Answered).
type Backend struct {
	Name string
	// Addr is host:port on loopback; it stays the same over restarts.
	Addr string

	record string
	dir    string
	proc   *Process
}

// NewBackend chooses an address for a backend, but does not start it.
func NewBackend(name, dir string) (*Backend, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return &Backend{
		Name: name, Addr: net.JoinHostPort("127.0.0.1", port), dir: dir,
		record: filepath.Join(dir, name+".record"),
	}, nil
}

// Port is the port of its address.
func (b *Backend) Port() string {
	_, port, _ := net.SplitHostPort(b.Addr)
	return port
}

// Begun and Answered are the headers in which a backend tells how many requests
// it had begun, in this life and with the one that it answers, and how many of
// them it had answered by then. The difference was in progress.
const (
	Begun    = "X-Begun"
	Answered = "X-Answered"
)

// workload counts the requests of one life of a backend.
type workload struct{ begun, answered atomic.Int64 }

func (w *workload) begin(h http.Header) {
	h.Set(Begun, strconv.FormatInt(w.begun.Add(1), 10))
	h.Set(Answered, strconv.FormatInt(w.answered.Load(), 10))
}

// Start runs the backend, for the first time or again after Kill, and returns
// when it serves.
func (b *Backend) Start(ctx context.Context) error {
	cfg, err := json.Marshal(backendConfig{Name: b.Name, Addr: b.Addr, Record: b.record})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = []string{backendEnv + "=" + string(cfg)}
	cmd.Dir = b.dir
	// The backend ends when this pipe does, at the latest with this process.
	if _, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if b.proc, err = StartProcess(cmd, filepath.Join(b.dir, b.Name+".log")); err != nil {
		return err
	}
	return Until(ctx, startPatience, func() error {
		select {
		case <-b.proc.Exited():
			return fmt.Errorf("backend %s ended: %s", b.Name, b.proc.Output())
		default:
		}
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Pid is the id of its process, another one after each Start.
func (b *Backend) Pid() int { return b.proc.Pid() }

// Kill ends the backend with SIGKILL; it may be started again.
func (b *Backend) Kill() error { return b.proc.Kill() }

// Pause stops the backend where it is; the kernel goes on accepting for it.
func (b *Backend) Pause() error {
	if err := b.proc.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// The signal is sent, not yet obeyed by every thread.
	return Until(context.Background(), startPatience, func() error {
		if state := stateOf(b.proc.Pid()); state != 'T' {
			return fmt.Errorf("backend is in state %q, not stopped", state)
		}
		return nil
	})
}

// Resume lets a paused backend go on.
func (b *Backend) Resume() error { return b.proc.Signal(syscall.SIGCONT) }

// Stop ends the backend for good.
func (b *Backend) Stop() error {
	if b.proc == nil {
		return nil
	}
	return b.proc.Kill()
}

// Executions counts, by request id, how often this backend began to execute a
// request, over all its lives.
func (b *Backend) Executions() (map[string]int, error) { return ReadRecord(b.record) }

// ReadRecord counts the lines of a record by the request id that begins them.
func ReadRecord(record string) (map[string]int, error) {
	counts := map[string]int{}
	file, err := os.Open(record)
	if errors.Is(err, os.ErrNotExist) {
		return counts, nil // it was never started
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		id, _, _ := strings.Cut(lines.Text(), " ")
		counts[id]++
	}
	return counts, lines.Err()
}

// BackendMain turns this process into a backend if it was started as one, and
// does not return then. Call it first in TestMain or main.
func BackendMain() {
	value := os.Getenv(backendEnv)
	if value == "" {
		return
	}
	var cfg backendConfig
	err := json.Unmarshal([]byte(value), &cfg)
	if err == nil {
		err = serveBackend(cfg)
	}
	fmt.Fprintln(os.Stderr, "running backend:", err)
	os.Exit(1)
}

func serveBackend(cfg backendConfig) error {
	record, err := os.OpenFile(cfg.Record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	go func() {
		// The other end is closed at the latest when whoever started us has died.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	var count workload
	server := &http.Server{Addr: cfg.Addr, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestID)
		if id != "" {
			count.begin(w.Header())
			// One write per line, so that lines of concurrent requests stay whole,
			// and no buffer, so that none is lost with the process.
			if _, err := record.WriteString(id + " " + r.Method + "\n"); err != nil {
				panic(err)
			}
		}
		query := r.URL.Query()
		if query.Has("close") {
			panic(http.ErrAbortHandler) // HTTP/1: the connection, HTTP/2: the stream
		}
		if status, err := strconv.Atoi(query.Get("early")); err == nil {
			w.WriteHeader(status) // without a look at the body
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if delay, err := time.ParseDuration(query.Get("delay")); err == nil {
			select {
			case <-time.After(delay):
			case <-r.Context().Done():
				return
			}
		}
		w.Header().Set(BackendName, cfg.Name)
		if id != "" {
			// Whoever has the answer must find it counted.
			count.answered.Add(1)
		}
		if status, err := strconv.Atoi(query.Get("status")); err == nil {
			w.WriteHeader(status)
		}
		_, _ = io.WriteString(w, cfg.Name+"\n")
	})}
	// HTTP/2 without TLS, too, from clients that begin with it.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	return server.ListenAndServe()
}
