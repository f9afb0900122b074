// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A request is in progress, and its connection ends with it, while the routes for
// errors answer it.
func TestErrorRoutesAreGuarded(t *testing.T) {
	inside := make(chan string, 1)
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rt := runtime.Load()
		cut, _ := rt.inDoubt("the test asks", everyRequest)
		for _, d := range cut {
			inside <- fmt.Sprint(rt.requests.len(), " ", d.Method, " ", d.Path)
		}
		rt.closing.Store(true)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer b.Close()
	s := newSite(t, t, true, "error 500\nhandle_errors {\n header -Connection\n reverse_proxy "+b.Listener.Addr().String()+"\n}")
	res, err := s.Client().Post(s.URL+"/order", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusAccepted || !res.Close {
		t.Errorf("answered %d, Connection: close %v", res.StatusCode, res.Close)
	}
	select {
	case got := <-inside:
		if want := "1 POST /order"; got != want {
			t.Errorf("in progress: %s, want %s", got, want)
		}
	default:
		t.Error("no request is in progress")
	}
	s.Close()
	if n := runtime.Load().requests.len(); n != 0 {
		t.Errorf("%d requests left in progress", n)
	}
}
