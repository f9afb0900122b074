// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// The context of a request has what those below have, also what is not there.
func TestRequestContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	vars, server := map[string]any{"a": 1}, new(http.Server)
	for key, value := range map[any]any{caddyhttp.VarsCtxKey: vars, http.ServerContextKey: server, "other": "thing"} {
		ctx = context.WithValue(ctx, key, value)
	}
	c := remember(ctx)
	for _, key := range []any{caddyhttp.VarsCtxKey, http.ServerContextKey, caddy.ReplacerCtxKey, caddyhttp.ServerCtxKey, "other", "none"} {
		got, want := c.Value(key), ctx.Value(key)
		if m, ok := want.(map[string]any); ok {
			got, want = got.(map[string]any)["a"], m["a"]
		}
		if got != want {
			t.Errorf("%v is %v, want %v", key, got, want)
		}
	}
	inner, stop := context.WithCancel(&c)
	defer stop()
	gone := errors.New("gone")
	cancel(gone)
	<-inner.Done()
	if context.Cause(inner) != gone || c.Err() == nil {
		t.Errorf("ended by %v, %v", context.Cause(inner), c.Err())
	}
}
