// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// errNoPing says that a transport cannot carry a ping.
var errNoPing = errors.New("this transport cannot carry a ping")

// blindPing is a ping on its way through a transport whose connections are not
// ours. FastCGI ends it when the backend does, and not before; until then it
// stands for all that follow, so that a hung backend costs one goroutine.
type blindPing struct {
	done   chan struct{}
	result report.PingResult // once done is closed
}

// pingThrough asks b as a request would, through the transport itself.
func (w *Way) pingThrough(ctx context.Context, b *Backend, p *pingSpec) report.PingResult {
	b.mu.Lock()
	bp := b.pinging
	if bp == nil {
		bp = &blindPing{done: make(chan struct{})}
		b.pinging = bp
		go func() {
			bp.result = w.askThrough(b, p)
			b.mu.Lock()
			b.pinging = nil
			b.mu.Unlock()
			close(bp.done)
		}()
	}
	b.mu.Unlock()
	select {
	case <-bp.done:
		return bp.result
	case <-ctx.Done():
		return report.PingResult{Err: context.Cause(ctx), Unanswered: true}
	}
}

// askThrough sends the ping as reverse_proxy sends a request.
func (w *Way) askThrough(b *Backend, p *pingSpec) (r report.PingResult) {
	defer func() {
		if v := recover(); v != nil {
			r = report.PingResult{Err: fmt.Errorf("%w: %v", errNoPing, v), Neutral: true}
		}
	}()
	ctx, cancel := context.WithTimeoutCause(w.ctx, p.timeout, context.DeadlineExceeded)
	defer cancel()
	ctx = context.WithValue(ctx, pingKey{}, b)
	ctx = context.WithValue(ctx, assumed.DialInfoKey, p.dial)
	watch := newDialWatch(ctx)
	req := p.request.Clone(watch)
	req.URL.Scheme, req.RemoteAddr = "", "127.0.0.1:0" // the transport knows the scheme
	if req.URL.Opaque == "*" && !w.SpeaksHTTP() {
		req.URL.Opaque, req.URL.Path = "", "/" // CGI has paths only
	}
	req = caddyhttp.PrepareRequest(req, caddy.NewReplacer(), nil, new(caddyhttp.Server))
	res, err := w.transport.RoundTrip(req)
	if err != nil {
		var dial reverseproxy.DialError
		r.Err = fmt.Errorf("reading the answer to a ping: %w", watch.explain(err))
		r.Neutral = fault.IsAnswer(err) || fault.IsLocalPath(err) || w.ctx.Err() != nil
		r.Unanswered = ctx.Err() != nil && !errors.As(err, &dial)
		return r
	}
	if res.Body == nil {
		res.Body = http.NoBody
	}
	return p.judge(res)
}
