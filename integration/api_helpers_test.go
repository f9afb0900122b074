// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// call is a request to an admin endpoint. JSON is the type of a body unless Type says
// otherwise.
type call struct {
	Method, Path, Body, Type string
	Header                   http.Header
}

func (c call) String() string { return c.Method + " " + c.Path }

// ask sends a request to the broker's admin endpoint, once.
func (c call) ask(t *testing.T, b *harness.Broker) *harness.Result {
	t.Helper()
	header := c.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	switch {
	case c.Type != "":
		header.Set("Content-Type", c.Type)
	case c.Body != "":
		header.Set("Content-Type", "application/json")
	}
	client := &harness.Client{Addr: b.AdminAddr()}
	return client.Do(t.Context(), c.String(), time.Now(), harness.Request{Method: c.Method, Path: c.Path, Header: header, Body: []byte(c.Body)})
}

// wants sends a request to the broker's admin endpoint, which must be answered with the
// status and with a text that contains says.
func (c call) wants(t *testing.T, b *harness.Broker, status int, says string) *harness.Result {
	t.Helper()
	res := c.ask(t, b)
	if res.Status != status || !strings.Contains(res.Body, says) {
		t.Errorf("%s: %d %s (%v), want %d with %q", c, res.Status, res.Body, res.Err, status, says)
	}
	return res
}

// adapted is what a Caddyfile becomes by the stock adapter.
func adapted(t *testing.T, b *harness.Broker, caddyfile string) string {
	t.Helper()
	if err := b.Write(caddyfile); err != nil {
		t.Fatal(err)
	}
	out, err := b.Run(t.Context(), "adapt", "--config", "{}")
	if err != nil {
		t.Fatalf("caddy adapt: %v\n%s", err, out)
	}
	json, _, _ := strings.Cut(out[strings.Index(out, `{"admin"`):], "\n")
	return json
}

// answers waits until the site says so: what is not answered before the change serves
// needs no waiting.
func answers(t *testing.T, port, want string) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		if got := get(t, "127.0.0.1:"+port).Body; got != want {
			return fmt.Errorf("the site answers %q, want %q", got, want)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// said waits until the broker has written a line with that text.
func said(t *testing.T, b *harness.Broker, text string) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		if !strings.Contains(b.Process().Output(), text) {
			return fmt.Errorf("the broker has not said %q", text)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// supervised is a broker that runs by the stock command, because its configuration has
// the global option.
func supervised(t *testing.T, caddyfile string, env ...string) *harness.Broker {
	t.Helper()
	b := newBroker(t, caddyfile, env...)
	b.Args = []string{"run", "--config", "{}"}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	return b
}

// optional is the site of answering with the global option.
const optional = `{
	admin {$ADMIN}
	broker {
		restart_delay 100ms
	}
}
http://:{$PORT} {
	respond "ANSWER"
}
`

func answer(text string) string { return strings.Replace(optional, "ANSWER", text, 1) }
