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

	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// askTime is how long the parent waits for a child's answer to a question of its
// own: a child that hangs must not make its parent's status hang.
const askTime = 2 * time.Second

const (
	// maxAnswer bounds such an answer, in bytes.
	maxAnswer = 16 << 20
	// maxAnswerHeader bounds the header of every answer of a child, in bytes.
	maxAnswerHeader = 64 << 10
)

// Ask gets something from the active process's own admin endpoint.
func (c *Hosted) Ask(ctx context.Context, path string) ([]byte, error) {
	from, err := c.Transport(ctx)
	if err != nil {
		return nil, err
	}
	body, err := answer(ctx, from, path)
	if err != nil {
		return nil, fmt.Errorf("asking child %q: %w", c.name, err)
	}
	return body, nil
}

// answer is what an admin endpoint answers to a GET, within its bounds.
func answer(ctx context.Context, from http.RoundTripper, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := from.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	}
	return body, nil
}

// Transport reaches the active process's own admin endpoint, and nothing else in its
// place. One that has just been activated is waited for, as long as the parent waits for
// answers: before, its pools know nothing of what was decided.
func (c *Hosted) Transport(ctx context.Context) (*http.Transport, error) {
	for _, p := range c.sup.Status().Processes {
		if p.State == "active" && p.Admin != "" {
			c.pools.awaitBegin(ctx, askTime)
			return transport(func(ctx context.Context, _, _ string) (net.Conn, error) {
				return sockets.DialPrivate(ctx, p.Admin, p.Pid)
			}), nil
		}
	}
	return nil, fmt.Errorf("child %q has no process that could answer: it is %s", c.name, c.sup.Status().State)
}

// transport reaches what dial does, and bounds the headers of its answers.
func transport(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Transport {
	return &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerHeader, DialContext: dial}
}
