// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A connection ends with the answer where the request's body was not read to its end,
// and only there: what is left of it would be read as the next request.
func TestConnectionsWithUnreadBodiesEnd(t *testing.T) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/early" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer b.Close()
	proxy := "reverse_proxy " + b.Listener.Addr().String()
	const long = 1 << 20 // more than servers read of what they do not want
	for _, tc := range []struct {
		name, handler, path string
		size                int
		close               bool
	}{
		{"read", proxy, "/", long, false},
		{"answered early", proxy, "/early", 100 * long, true}, // more than the sockets between take
		{"not read", "respond 202", "/", 10, true},
		{"not read, long", "respond 202", "/", long, true},
		{"none", "respond 202", "/", 0, false},
		{"error before it is read", "error 500\nhandle_errors {\n respond 202\n}", "/", 10, true},
		{"read by an error route", "error 500\nhandle_errors {\n " + proxy + "\n}", "/", 10, true}, // decided before
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t, t, true, tc.handler)
			var body io.Reader
			if tc.size > 0 {
				body = strings.NewReader(strings.Repeat("x", tc.size))
			}
			res, err := s.Client().Post(s.URL+tc.path, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusAccepted || res.Close != tc.close {
				t.Errorf("answered %d, Connection: close %v, want %v", res.StatusCode, res.Close, tc.close)
			}
		})
	}
}
