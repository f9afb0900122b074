// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// haproxy is HAProxy's master and its one worker.
type haproxy struct {
	*classic
	master, worker string // sockets on which they answer
}

func newHAProxy(site *Site, bin string) (kind, error) {
	site.passSocket()
	file, err := site.render("haproxy.cfg")
	h := &haproxy{master: filepath.Join(site.Dir, "master.sock"), worker: filepath.Join(site.Dir, "haproxy.sock")}
	args := []string{bin, "-W", "-db", "-S", h.master, "-f", file}
	h.classic = &classic{args: args, again: systemdRestart}
	return h, err
}

func (h *haproxy) ready(ctx context.Context, _ int) error {
	_, err := h.serving(ctx)
	return err
}

// serving is the worker that answers, once the master answers too.
func (h *haproxy) serving(ctx context.Context) (int, error) {
	if _, err := ask(ctx, h.master, "show proc"); err != nil {
		return 0, err
	}
	text, err := ask(ctx, h.worker, "show info")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if pid, found := strings.CutPrefix(line, "Pid: "); found {
			return strconv.Atoi(strings.TrimSpace(pid))
		}
	}
	return 0, fmt.Errorf("the worker does not say its id: %q", text)
}

// ask is one question to HAProxy, which closes the connection after the answer to the
// last one.
func ask(ctx context.Context, socket, question string) (string, error) {
	opened, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	conn := opened.(*net.UnixConn)
	defer conn.Close()
	// A question to a process that is being replaced may stay without an answer.
	if err = conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err = conn.Write([]byte(question + "\n")); err != nil {
		return "", err
	}
	if err = conn.CloseWrite(); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("no answer to %q", question)
	}
	return string(text), err
}

// reload is done when another worker answers, and the master. One that has only been
// started may still load its configuration; a master that is told to reload then can
// leave it behind without anyone who accepts, and one that does not answer yet does
// not hear the signal.
func (h *haproxy) reload(ctx context.Context, p *Proxy) error {
	before, err := h.serving(ctx)
	if err != nil {
		return err
	}
	if err = syscall.Kill(p.Master(), syscall.SIGUSR2); err != nil {
		return fmt.Errorf("signalling the master: %w", err)
	}
	return harness.Until(ctx, startPatience, func() error {
		now, err := h.serving(ctx)
		if err == nil && now == before {
			err = errors.New("the old worker serves")
		}
		return err
	})
}
