// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"net/http"
)

// HTTP/2 and HTTP/3 serve each request on a goroutine of its own, which begins with a small
// stack. On the way through Caddy's handlers to a backend it is doubled again and again until
// it has 32 KiB, and each time everything on it is looked through and copied: a tenth of the
// processor time of a request over HTTP/2. It is made that large at once here, while there is
// next to nothing on it. A request that goes to no backend has more than it needs.

// deepStack is less than such a request needs, and more than half of the stack that has room
// for it: what is on the stack before may take up to 10 KiB without making it still larger.
const deepStack = 20 << 10

// deep is never true; the compiler does not know.
var deep bool

// growStack makes the stack of this goroutine as large as a request needs it. It costs a
// comparison if it is.
//
//go:noinline
func growStack() {
	if deep {
		var room [deepStack]byte
		for i := range room {
			room[i] = byte(i)
		}
		deep = room[len(room)/2] == 0
	}
}

// onDeepStack serves requests that come on goroutines of their own.
type onDeepStack struct{ http.Handler }

func (h onDeepStack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	growStack()
	h.Handler.ServeHTTP(w, r)
}

// BaseContext is how net/http's handler tells an HTTP/2 server the context of the connection.
func (h onDeepStack) BaseContext() context.Context {
	if base, ok := h.Handler.(interface{ BaseContext() context.Context }); ok {
		return base.BaseContext()
	}
	return context.Background()
}
