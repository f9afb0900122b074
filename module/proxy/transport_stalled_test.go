// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// TestStalledClient: a client that stops in the middle of its upload gets 504 when
// the server's limit for that is over, and nobody is taken down for it.
func TestStalledClient(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		good := newBackendServer(t, "good", nil)
		p := newProxy(t, upstreams(good.addr()))
		front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			p.serve(w, r)
			if got := w.Header().Get(proxystatus.Header); got != `caddy-broker; error=http_request_error; details="in-doubt"` {
				t.Errorf("HTTP/2 %t: Proxy-Status %q", http2, got)
			}
		}))
		front.EnableHTTP2 = http2
		front.StartTLS()
		stalled, over := bytes.NewReader([]byte("the beginning")), make(chan struct{})
		req, err := http.NewRequest("POST", front.URL, untilOver{stalled, over})
		if err != nil {
			t.Fatal(err)
		}
		res, err := front.Client().Do(req)
		close(over)
		switch {
		case err == nil && res.StatusCode != 504, err != nil && !http2: // HTTP/2 may end the stream with the deadline
			t.Errorf("HTTP/2 %t: got %+v, %v", http2, res, err)
		case err == nil:
			_ = res.Body.Close()
		}
		front.Close()
		p.nothingLeft()
		if st := p.policy.claim.entry.pool.Status().Upstreams[0]; st.State != "up" {
			t.Errorf("HTTP/2 %t: the backend is %s", http2, st.State)
		}
	}
}

// untilOver reads what there is, and then nothing until it is over.
type untilOver struct {
	src  *bytes.Reader
	over chan struct{}
}

func (u untilOver) Read(p []byte) (int, error) {
	if u.src.Len() == 0 {
		<-u.over
	}
	return u.src.Read(p)
}
