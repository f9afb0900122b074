// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const answersAlone = `{
	admin {$ADMIN}
}
http://:{$PORT} {
	reverse_proxy {$B1} {
		lb_policy failover
	}
}
`

// A backend that streams what is no event of ours, as fast as it can, is given up, and
// has said little by then.
func TestUselessStreamIsGivenUp(t *testing.T) {
	const bound = 16 << 20 // most of it lies in buffers of the system
	given := make(chan int, 1)
	var once sync.Once
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/broker-uris" {
			w.Header().Set(harness.BackendName, "backend")
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		text, n := strings.Repeat(":\n", 1000), 0
		for {
			wrote, err := io.WriteString(w, text)
			if n += wrote; err != nil {
				once.Do(func() { given <- n })
				return
			}
		}
	}))
	defer backend.Close()
	defer backend.CloseClientConnections()
	port := freePort(t)
	b := startBroker(t, answersAlone, "PORT="+port, "B1="+strings.TrimPrefix(backend.URL, "http://"))
	pid := awaitActive(t, b, 0)
	most := growth(t, pid)
	undisturbed(t, "127.0.0.1:"+port, func() {
		select {
		case n := <-given:
			t.Logf("it could send %d KiB", n>>10)
			if n > bound {
				t.Errorf("it could send %d MiB, more than %d", n>>20, bound>>20)
			}
		case <-time.After(soon):
			t.Error("it is still read")
		}
	})
	t.Logf("the child grew by %d KiB", most()>>10)
}
