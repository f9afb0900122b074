// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"context"
	"io"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// EndlessRetries as lb_retries, without lb_try_duration and lb_try_interval, makes
// reverse_proxy ask its policy again at once, and for ever, after an error that
// has a DialError in it. It asks only then, and when lb_retry_match matches; without
// any matcher in it every GET matches.
const EndlessRetries = math.MaxInt

// DialTimeout is what reverse_proxy's HTTP transport dials with unless told
// otherwise: a transport that has exactly this value was not told.
const DialTimeout = 3 * time.Second

// IdleConns is how many idle connections to a backend reverse_proxy's HTTP transport keeps
// unless told otherwise.
const IdleConns = 32

// DialInfoKey is the key of a request's context under which reverse_proxy says
// what its transport is to dial. Caddy exports how to read it, not how to set it.
const DialInfoKey caddy.CtxKey = "reverse_proxy.dial_info"

// The variables of a request by which reverse_proxy and its transport talk.
const (
	// HTTP1OnlyVar is true if the connection must not speak HTTP/2.
	HTTP1OnlyVar = "reverse_proxy.tls_h1_only"
	// ForwardProxyVar is set if a forward proxy carries the request.
	ForwardProxyVar = "reverse_proxy.proxy"
	// ProxyProtocolVar is the client's address for the PROXY protocol.
	ProxyProtocolVar = "reverse_proxy.proxy_protocol_info"
)

// Owner is the module that loads the one which is provisioned with ctx: the last
// but one of its modules. It is nil if there is none.
func Owner(ctx caddy.Context) caddy.Module {
	modules := ctx.Modules()
	if len(modules) < 2 {
		return nil
	}
	return modules[len(modules)-2]
}

// bufferedBody is the type of a request body that reverse_proxy holds completely.
var bufferedBody = reflect.TypeOf(io.NopCloser(strings.NewReader("")))

// Buffered reports whether reverse_proxy has read the whole body (request_buffers):
// then it passes a body of its own, from the beginning, to each attempt.
func Buffered(body io.ReadCloser) bool { return reflect.TypeOf(body) == bufferedBody }

// Closer is what closes the client's body. The wrapper that reverse_proxy puts
// around it must not be closed while it is read from; what it wraps, in an
// embedded field, may.
func Closer(body io.ReadCloser) io.Closer {
	v := reflect.Indirect(reflect.ValueOf(body))
	if v.Kind() == reflect.Struct {
		if f := v.FieldByName("ReadCloser"); f.IsValid() && f.CanInterface() {
			if inner, ok := reflect.TypeAssert[io.Closer](f); ok {
				return inner
			}
		}
	}
	return body
}

// Validating reports whether a process with these arguments was started to check
// a configuration and not to run it: the name of Caddy's command comes first.
func Validating(args []string) bool {
	return len(args) > 1 && (args[1] == "validate" || args[1] == "adapt")
}

// exitingPoll is how often UntilExiting looks. Caddy tells nobody that it exits.
const exitingPoll = 50 * time.Millisecond

// UntilExiting is ctx, ended with that cause also when Caddy begins to exit: it
// says so before it waits for the apps, so that they can give up what they wait
// for themselves.
func UntilExiting(ctx context.Context, cause error) (context.Context, context.CancelFunc) {
	return untilExiting(ctx, cause, caddy.Exiting)
}

func untilExiting(ctx context.Context, cause error, exiting func() bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(exitingPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if exiting() {
					cancel(cause)
				}
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
