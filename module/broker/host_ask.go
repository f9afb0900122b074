// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// askTime is how long the parent waits for a child's answer to a question of its
// own: a child that hangs must not make its parent's status hang.
const askTime = 2 * time.Second

// Ask gets something from the active process's own admin endpoint.
func (c *Hosted) Ask(ctx context.Context, path string) ([]byte, error) {
	transport, err := c.Transport()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("asking child %q: %w", c.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking child %q: it answered %s", c.name, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// Transport reaches the active process's own admin endpoint.
func (c *Hosted) Transport() (*http.Transport, error) {
	socket := c.activeAdmin()
	if socket == "" {
		return nil, fmt.Errorf("child %q has no process that could answer: it is %s", c.name, c.sup.Status().State)
	}
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}, nil
}

// activeAdmin is the path of the active process's admin socket, "" if there is none.
func (c *Hosted) activeAdmin() string {
	for _, p := range c.sup.Status().Processes {
		if p.State == "active" {
			return p.Admin
		}
	}
	return ""
}
