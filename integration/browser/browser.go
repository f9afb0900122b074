// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// ErrNone says that this system has no browser.
var ErrNone = errors.New("no chromium is installed")

// Browser is a running browser.
type Browser struct {
	dir string // of its profile
	cmd *exec.Cmd
	out *os.File // to it

	mu      sync.Mutex
	lastID  int                  // by mu
	pending map[int]chan message // by mu
	pages   map[string]*Page     // by mu; by session
	gone    error                // by mu
	ended   chan struct{}
}

// message is a command, its answer, or an event.
type message struct {
	ID      int             `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts a browser with a profile in dir and, if any, more arguments. It ends with
// Close, at the latest with this process.
func Start(dir string, more ...string) (*Browser, error) {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, ErrNone
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		_ = ourOut.Close()
		return nil, err
	}
	defer theirOut.Close()
	b := &Browser{dir: dir, out: ourOut, pending: make(map[int]chan message), pages: make(map[string]*Page), ended: make(chan struct{})}
	// Its own sandbox needs what containers and root do not have; it shows our pages only.
	b.cmd = exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run", //nolint:gosec // found above
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--user-data-dir="+dir, "--remote-debugging-pipe")
	b.cmd.Args = append(b.cmd.Args, more...)
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	b.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		_ = ourOut.Close()
		_ = ourIn.Close()
		return nil, err
	}
	go b.read(ourIn)
	return b, nil
}

// Close ends the browser and all its processes.
func (b *Browser) Close() error {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	_ = b.cmd.Wait()
	err := b.out.Close()
	<-b.ended
	// What is killed leaves the folder of its socket, beside its profile.
	if socket, errLink := os.Readlink(filepath.Join(b.dir, "SingletonSocket")); errLink == nil && filepath.IsAbs(socket) {
		err = errors.Join(err, os.RemoveAll(filepath.Dir(socket)))
	}
	return err
}

func (b *Browser) read(in *os.File) {
	defer close(b.ended)
	defer in.Close()
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		text, err := lines.ReadBytes(0)
		if err != nil {
			b.fail(fmt.Errorf("the browser is gone: %w", err))
			return
		}
		var m message
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
			b.fail(err)
			return
		}
		b.mu.Lock()
		answer, page := b.pending[m.ID], b.pages[m.Session]
		delete(b.pending, m.ID)
		b.mu.Unlock()
		switch {
		case answer != nil:
			answer <- m
		case page != nil:
			page.happened(m)
		}
	}
}

func (b *Browser) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = err
	for id, answer := range b.pending {
		delete(b.pending, id)
		close(answer)
	}
}

// call sends a command, and puts its result into v unless that is nil.
func (b *Browser) call(ctx context.Context, session, method string, params, v any) error {
	data, err := json.Marshal(params)
	if err != nil {
		return err
	}
	answer := make(chan message, 1)
	b.mu.Lock()
	if b.gone != nil {
		defer b.mu.Unlock()
		return b.gone
	}
	b.lastID++
	m := message{ID: b.lastID, Method: method, Session: session, Params: data}
	b.pending[m.ID] = answer
	text, err := json.Marshal(m)
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	case m, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, io.ErrUnexpectedEOF)
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case v == nil:
			return nil
		}
		return json.Unmarshal(m.Result, v)
	}
}
