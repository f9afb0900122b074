// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package backend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// Main turns this process into a backend if it was started as one, and does not
// return then. Call it first in main.
func Main() {
	value := os.Getenv(configEnv)
	if value == "" {
		return
	}
	var cfg Config
	err := json.Unmarshal([]byte(value), &cfg)
	if err == nil {
		err = serve(cfg)
	}
	fmt.Fprintln(os.Stderr, "running backend:", err)
	os.Exit(1)
}

// server is the inside of a backend's process.
type server struct {
	cfg    Config
	mode   atomic.Value // Mode
	record *os.File     // nil: none
	gate   *gate
	body   []byte
}

func serve(cfg Config) error {
	s := &server{cfg: cfg, body: []byte(cfg.Name + strings.Repeat(".", 200) + "\n")}
	s.mode.Store(cfg.Mode)
	if cfg.Record != "" {
		var err error
		if s.record, err = os.OpenFile(cfg.Record, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return err
	}
	s.gate = newGate(l.(*net.TCPListener), func() bool { return s.mode.Load() == Close })
	answers := os.NewFile(3, "answers")
	go s.obey(answers)
	if _, err := answers.WriteString(strconv.FormatInt(time.Now().UnixNano(), 10) + "\n"); err != nil {
		return err
	}
	// The server's own answer to OPTIONS * would not know the mode.
	srv := &http.Server{
		Handler: s, ConnState: s.gate.track, DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout: time.Minute,
	}
	srv.SetKeepAlivesEnabled(!cfg.OneRequest)
	return srv.Serve(s.gate)
}

// obey reads one mode per line. Its end is the end of whoever started us.
func (s *server) obey(answers *os.File) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		mode := Mode(lines.Text())
		s.mode.Store(mode)
		err := s.gate.drop(mode == Drop)
		if mode == Close {
			s.gate.closeAll()
		}
		answer := string(mode)
		if err != nil {
			answer = err.Error()
		}
		if _, err := answers.WriteString(answer + "\n"); err != nil {
			break
		}
	}
	os.Exit(0)
}

// ServeHTTP writes the request down and answers in the way of the mode, after
// the time in the query parameter delay.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	mode := s.mode.Load().(Mode)
	id := r.Header.Get(harness.RequestID)
	if mode == Reset && id == "" {
		mode = Serve
	}
	if id != "" && s.record != nil {
		// One write per line, so that lines of concurrent requests stay whole,
		// and no buffer, so that none is lost with the process.
		if _, err := s.record.WriteString(id + " " + r.Method + " " + string(mode) + "\n"); err != nil {
			fmt.Fprintln(os.Stderr, "recording request:", err)
			os.Exit(1)
		}
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if r.URL.RawQuery != "" {
		delay, _ := time.ParseDuration(r.URL.Query().Get("delay"))
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set(harness.BackendName, s.cfg.Name)
	switch mode {
	case Starting:
		http.Error(w, "starting", http.StatusServiceUnavailable)
	case Reset:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		}
	case Cut:
		w.Header().Set("Content-Length", strconv.Itoa(CutLength))
		_, _ = w.Write(make([]byte, CutAfter))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // net/http's way to end a response early
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
		_, _ = w.Write(s.body)
	}
}
