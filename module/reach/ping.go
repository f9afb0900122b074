// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"golang.org/x/net/http2"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// pingKey is the key of the backend that a ping is for in the context of its dial.
type pingKey struct{}

// Ping asks m whether it is alive: on a connection of its own that is closed
// afterwards, or through the transport where connections are not ours.
func (w *Way) Ping(ctx context.Context, m *failover.Member) report.PingResult {
	b := w.Backend(m)
	p := w.pingFor(b)
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout, context.DeadlineExceeded)
	defer cancel()
	r := w.pingOnce(ctx, b, p)
	if r.Err != nil && ctx.Err() != nil {
		r.Err = fmt.Errorf("%w: %w", r.Err, context.Cause(ctx))
	}
	r.Neutral = r.Neutral || r.Err != nil && fault.IsLocal(r.Err)
	r.Refused = r.Err != nil && fault.IsRefusal(r.Err)
	if !r.Neutral {
		w.Note(b, r.Err != nil && fault.Dial(r.Err).Incurable)
	}
	return r
}

func (w *Way) pingOnce(ctx context.Context, b *Backend, p *pingSpec) report.PingResult {
	if !w.Owned() {
		if w.nameless {
			return report.PingResult{} // it cannot be asked: a request has to find out
		}
		return w.pingThrough(ctx, b, p)
	}
	nc, err := w.open(ctx, b, p)
	if err != nil {
		return report.PingResult{Err: err}
	}
	defer nc.Close()
	if w.nameless && w.secures(p.dial.Port) {
		return report.PingResult{} // it has accepted a connection: no more can be asked
	}
	r := exchangePing(ctx, nc, w.speaks(nc), p)
	r.Unanswered = r.Err != nil && ctx.Err() != nil
	return r
}

// exchangePing sends the ping on an open connection and reads the answer.
func exchangePing(ctx context.Context, nc net.Conn, proto uint32, p *pingSpec) report.PingResult {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if proto == protoHTTP2 {
		return ping2(ctx, nc, p)
	}
	if err := p.request.Write(nc); err != nil {
		return report.PingResult{Err: fmt.Errorf("sending ping: %w", err)}
	}
	br := bufio.NewReaderSize(&io.LimitedReader{R: nc, N: maxPingAnswer}, 4096)
	for {
		res, err := http.ReadResponse(br, p.request)
		if err != nil {
			return report.PingResult{Err: fmt.Errorf("reading the answer to a ping: %w", err)}
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return p.judge(res)
		}
	}
}

// maxPingAnswer bounds what is read of an answer, header and body.
const maxPingAnswer = 1 << 20

// ping2 pings over HTTP/2: with a PING frame, or with the request that the user
// asked for.
func ping2(ctx context.Context, nc net.Conn, p *pingSpec) report.PingResult {
	cc, err := new(http2.Transport).NewClientConn(nc) //nolint:staticcheck // one connection by hand, without a pool
	if err != nil {
		return report.PingResult{Err: fmt.Errorf("starting HTTP/2 for a ping: %w", err)}
	}
	defer cc.Close()
	if p.standard {
		if err := cc.Ping(ctx); err != nil {
			return report.PingResult{Err: fmt.Errorf("waiting for the answer to a ping: %w", err)}
		}
		return report.PingResult{}
	}
	res, err := cc.RoundTrip(p.request.WithContext(ctx))
	if err != nil {
		return report.PingResult{Err: fmt.Errorf("reading the answer to a ping: %w", err)}
	}
	return p.judge(res)
}

// judge says what an answer means.
func (p *pingSpec) judge(res *http.Response) report.PingResult {
	defer res.Body.Close()
	r := report.PingResult{Status: res.StatusCode}
	if !p.check {
		return r
	}
	switch {
	case p.status > 0 && !caddyhttp.StatusCodeMatches(res.StatusCode, p.status):
		r.Err = fmt.Errorf("health check got status %d, expecting %d", res.StatusCode, p.status)
	case p.status == 0 && (res.StatusCode < 200 || res.StatusCode > 299):
		r.Err = fmt.Errorf("health check got status %d", res.StatusCode)
	case p.body != nil:
		body, err := io.ReadAll(io.LimitReader(res.Body, p.size))
		if err != nil {
			r.Err = fmt.Errorf("reading the answer to a health check: %w", err)
		} else if !p.body.Match(body) {
			r.Err = errors.New("the answer to a health check does not match expect_body")
		}
	}
	return r
}
