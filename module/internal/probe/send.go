// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// maxShown bounds what an error shows of an answer's body, in bytes.
const maxShown = 256

// errNoTime says that a probe had no answer in time.
var errNoTime = errors.New("no answer in time")

// Send sends the probe on a connection that dial makes, and returns why its answer is not
// the expected one. The certificate must be valid for the name; by whom it was issued
// does not count, since an authority of this system's own is not known here.
func (p *Probe) Send(ctx context.Context, dial func(ctx context.Context) (net.Conn, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Limit(), fmt.Errorf("%w: within %s", errNoTime, p.Limit()))
	defer cancel()
	err := p.send(ctx, dial)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return p.place(err)
}

func (p *Probe) send(ctx context.Context, dial func(ctx context.Context) (net.Conn, error)) error {
	req, err := http.NewRequestWithContext(ctx, p.Method, p.URL, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "caddy-broker-probe")
	for name, value := range p.RequestHeader {
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		TLSClientConfig:   certified(req.URL.Hostname()),
		ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 1 << 20,
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, errBody := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	err = p.judge(resp, body)
	if err == nil && errBody != nil {
		err = fmt.Errorf("reading the answer: %w", errBody)
	}
	return err
}

// certified accepts a certificate that is valid for the name now.
func certified(name string) *tls.Config {
	return &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true, //nolint:gosec // what counts is checked below
		VerifyConnection: func(c tls.ConnectionState) error {
			leaf := c.PeerCertificates[0]
			if now := time.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
				return fmt.Errorf("the certificate is valid from %s to %s only", leaf.NotBefore.Format(time.DateTime), leaf.NotAfter.Format(time.DateTime))
			}
			return leaf.VerifyHostname(name)
		},
	}
}

// judge is why an answer is not the expected one.
func (p *Probe) judge(resp *http.Response, body []byte) error {
	answer := "answered " + resp.Status
	if s := resp.Header.Get("Proxy-Status"); s != "" {
		answer += " (" + plain.Line(s, maxShown) + ")"
	}
	if !p.expects(resp.StatusCode) {
		expected := "2xx or 3xx"
		if len(p.Expect) > 0 {
			expected = strings.Join(p.Expect, " or ")
		}
		err := fmt.Errorf("%s, expected %s", answer, expected)
		if text := strings.TrimSpace(plain.Line(string(body), maxShown)); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		if values := resp.Header.Values(name); !slices.ContainsFunc(values, func(v string) bool { return matches(v, p.Header[name]) }) {
			return fmt.Errorf("%s with %s, expected %s", answer, header(name, values), plain.Line(name+": "+p.Header[name], maxShown))
		}
	}
	if p.BodyContains != "" && !bytes.Contains(body, []byte(p.BodyContains)) {
		return fmt.Errorf("%s without %q in its body: %s", answer, plain.Line(p.BodyContains, maxShown), plain.Line(string(body), maxShown))
	}
	return nil
}

func header(name string, values []string) string {
	if len(values) == 0 {
		return "no " + name
	}
	return plain.Line(name+": "+strings.Join(values, ", "), maxShown)
}

// matches reports whether a value is the wanted one, in which * at either end stands for
// anything.
func matches(value, wanted string) bool {
	open, from := strings.CutPrefix(wanted, "*")
	end, to := strings.CutSuffix(open, "*")
	switch {
	case from && to:
		return strings.Contains(value, end)
	case from:
		return strings.HasSuffix(value, open)
	case to:
		return strings.HasPrefix(value, end)
	}
	return value == wanted
}
