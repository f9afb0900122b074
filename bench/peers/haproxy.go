// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// haproxy is HAProxy's master and its one worker.
type haproxy struct {
	*classic
	socket string // on which the worker answers
}

func newHAProxy(site *Site, bin string) (kind, error) {
	site.passSocket()
	file, err := site.render("haproxy.cfg")
	args := []string{bin, "-W", "-db", "-f", file}
	return &haproxy{
		classic: &classic{args: args, again: systemdRestart},
		socket:  filepath.Join(site.Dir, "haproxy.sock"),
	}, err
}

func (h *haproxy) ready(ctx context.Context, _ int) error {
	_, err := h.serving(ctx)
	return err
}

// serving is the worker that answers on the socket.
func (h *haproxy) serving(ctx context.Context) (int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", h.socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err = conn.Write([]byte("show info\n")); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if pid, found := strings.CutPrefix(lines.Text(), "Pid: "); found {
			return strconv.Atoi(pid)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("the worker does not say its id"))
}

// reload is done when another worker answers. One that has only been started may
// still load its configuration; a master that is told to reload then can leave it
// behind without anyone who accepts.
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
