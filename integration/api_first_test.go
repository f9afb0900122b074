// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// TestAskedBeforeItServes: the admin endpoint is there before the first child serves. What
// is asked of it until then is answered as it is afterwards, about the user's configuration.
func TestAskedBeforeItServes(t *testing.T) {
	t.Parallel()
	var routes strings.Builder
	for i := range 5000 { // so that loading takes a while
		fmt.Fprintf(&routes, "\trespond /%d ok\n", i)
	}
	port := freePort(t)
	b := newBroker(t, strings.Replace(answering, "\trespond ", routes.String()+"\trespond ", 1), "PORT="+port)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	ask := func(c call) *harness.Result {
		var res *harness.Result
		if err := harness.Until(t.Context(), soon, func() error {
			res = c.ask(t, b)
			return res.Err
		}); err != nil {
			t.Error(err)
		}
		return res
	}
	var read, load, changed *harness.Result
	var wg sync.WaitGroup
	wg.Go(func() { read = ask(call{Method: "GET", Path: "/config/apps/http/servers/srv0/listen"}) })
	wg.Go(func() {
		changed = ask(call{Method: "PUT", Path: "/config/apps/http/servers/srv0/idle_timeout", Body: `"7m"`})
	})
	wg.Go(func() {
		load = ask(call{Method: "POST", Path: "/load", Body: `{"admin":{"listen":"` + b.AdminAddr() + `"},"apps":{"http":{"servers":{"srv0":{"listen":[":` + port + `"],
			"routes":[{"handle":[{"handler":"static_response","body":"loaded"}]}]}}}}}`})
	})
	wg.Wait()
	if read.Status != http.StatusOK || !strings.Contains(read.Body, ":"+port) {
		t.Errorf("reading: %d %s", read.Status, read.Body)
	}
	for what, res := range map[string]*harness.Result{"loading": load, "a change": changed} {
		if res.Status != http.StatusOK {
			t.Errorf("%s: %d %s", what, res.Status, res.Body)
		}
	}
	answers(t, port, "loaded")
}
