// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// sameSite is what the calls begin with. OPTION is nothing, or the global option.
const sameSite = `{
	admin {$ADMIN}
	OPTION
}
http://:{$PORT} {
	respond "begin"
}
`

const (
	sameRoutes = "/config/apps/http/servers/srv0/routes"
	sameBody   = sameRoutes + "/0/handle/0/body"
)

// sameCalls are made one after the other. They are of the kinds that tools on the API make.
// ADMIN and PORT in a body are the addresses of the program.
func sameCalls() []call {
	caddyfile := func(says string) string {
		return "{\n\tadmin ADMIN\n}\nhttp://:PORT {\n\trespond \"" + says + "\"\n}\n"
	}
	document := func(says string) string {
		return `{"admin":{"listen":"ADMIN"},"apps":{"http":{"servers":{"srv0":{"listen":[":PORT"],"routes":[{"@id":"first","handle":[{"handler":"static_response","body":"` + says + `"}]}]}}}}}`
	}
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	return []call{
		// A controller that makes a whole configuration out of labels of containers.
		{Method: "POST", Path: "/load", Body: document("labels")},
		{Method: "POST", Path: "/load", Body: document("labels")},
		{Method: "POST", Path: "/load", Body: document("forced"), Header: header("Cache-Control", "must-revalidate")},
		{Method: "GET", Path: "/config/"},
		// One that writes Caddyfiles, and asks first whether they are good.
		{Method: "POST", Path: "/adapt", Body: caddyfile("adapted"), Type: "text/caddyfile"},
		{Method: "POST", Path: "/adapt", Body: "nonsense {", Type: "text/caddyfile"},
		{Method: "POST", Path: "/load", Body: caddyfile("caddyfile"), Type: "text/caddyfile"},
		{Method: "POST", Path: "/load", Body: "nonsense {", Type: "text/caddyfile"},
		{Method: "POST", Path: "/load", Body: "x", Type: "text/none_of_that_name"},
		// A console in a terminal.
		{Method: "GET", Path: "/config/apps/http/servers"},
		{Method: "GET", Path: "/config/apps/http/servers/srv0/listen"},
		{Method: "GET", Path: "/reverse_proxy/upstreams"},
		{Method: "GET", Path: "/pki/ca/none"},
		{Method: "GET", Path: "/frankenphp/threads"},
		// Managers of sites, which change parts.
		{Method: "POST", Path: "/load", Body: document("managed")},
		{Method: "GET", Path: "/id/first"},
		{Method: "PATCH", Path: "/id/first/handle/0/body", Body: `"by id"`},
		{Method: "POST", Path: sameRoutes, Body: `{"@id":"second","match":[{"path":["/second"]}],"handle":[{"handler":"static_response","body":"second"}]}`},
		{Method: "PUT", Path: sameRoutes + "/0", Body: `{"@id":"zeroth","match":[{"path":["/zeroth"]}],"handle":[{"handler":"static_response","body":"zeroth"}]}`},
		{Method: "POST", Path: sameRoutes + "/...", Body: `[{"@id":"third"},{"@id":4}]`},
		{Method: "GET", Path: sameRoutes},
		{Method: "GET", Path: "/id/4"},
		{Method: "DELETE", Path: "/id/zeroth"},
		{Method: "DELETE", Path: "/id/zeroth"},
		{Method: "GET", Path: "/id/zeroth"},
		{Method: "POST", Path: sameRoutes, Body: `{"@id":"first"}`},
		{Method: "POST", Path: sameRoutes, Body: `{"@id":{}}`},
		{Method: "PATCH", Path: sameBody, Body: `"patched"`},
		{Method: "PATCH", Path: sameBody, Body: `7`},
		{Method: "PATCH", Path: sameRoutes + "/0/handle/0", Body: `{"handler":"none_of_that_name"}`},
		{Method: "PATCH", Path: "/config/apps/none", Body: "7"},
		{Method: "PUT", Path: sameBody, Body: `"there"`},
		{Method: "DELETE", Path: sameBody},
		{Method: "PUT", Path: sameBody, Body: `"put"`},
		{Method: "PUT", Path: sameBody + "/x", Body: `"put"`},
		{Method: "PATCH", Path: sameBody, Body: `"not JSON`},
		{Method: "PATCH", Path: sameBody, Body: `"text"`, Type: "text/plain"},
		{Method: "PATCH", Path: sameBody, Body: `"stale"`, Header: header("If-Match", `"`+sameBody+` 0"`)},
		{Method: "PATCH", Path: sameBody, Body: `"malformed"`, Header: header("If-Match", "0")},
		{Method: "PATCH", Path: "/config/apps%2Fhttp%2Fservers%2Fsrv0%2Froutes%2F0%2Fhandle%2F0%2Fbody", Body: `"encoded"`},
		{Method: "PUT", Path: "/config/apps/none_of_that_name", Body: "{}"},
		{Method: "PUT", Path: "/config/none", Body: "{}"},
		{Method: "POST", Path: "/config/apps/http/servers/srv0/listen", Body: `"192.0.2.1:1"`},
		{Method: "PATCH", Path: "/config/admin/listen", Body: `"192.0.2.1:1"`},
		{Method: "PUT", Path: "/config/logging", Body: `{"logs":{"default":{"level":"ERROR"}}}`},
		{Method: "GET", Path: "/config/logging/logs/default"},
		// Those who guess.
		{Method: "GET", Path: "/config"},
		{Method: "GET", Path: "/config/none"},
		{Method: "GET", Path: "/config/..."},
		{Method: "GET", Path: "/config//apps"},
		{Method: "GET", Path: sameRoutes + "/99"},
		{Method: "HEAD", Path: "/config/"},
		{Method: "OPTIONS", Path: "/config/"},
		{Method: "GET", Path: "/load"},
		{Method: "GET", Path: "/id/"},
		{Method: "GET", Path: "/pki/"},
		{Method: "GET", Path: "/none"},
		{Method: "POST", Path: "/load", Body: "{"},
		{Method: "POST", Path: "/load", Body: `{"admin":{"listen":"ADMIN"},"apps":{"none_of_that_name":{}}}`},
		{Method: "POST", Path: "/load", Body: `{"admin":{"listen":"ADMIN"},"none":1}`},
		// Those who may not.
		{Method: "GET", Path: "/config/", Header: header("Origin", "http://evil.example")},
		{Method: "PATCH", Path: sameBody, Body: `"evil"`, Header: header("Origin", "http://evil.example")},
		{Method: "POST", Path: "/load", Body: document("evil"), Header: header("Origin", "http://evil.example")},
		{Method: "GET", Path: "/config/", Header: header("Sec-Fetch-Mode", "no-cors")},
		{Method: "GET", Path: "/config/"},
	}
}

// answersOf makes the calls to a program that runs, and says of each what was answered
// and what the site says then. Of a program that cuts connections at reloads it may have
// to ask the site again.
func answersOf(t *testing.T, b *harness.Broker, port string, cuts bool) (answers []string) {
	t.Helper()
	put := strings.NewReplacer("ADMIN", b.AdminAddr(), "PORT", port)
	site := &harness.Client{Addr: "127.0.0.1:" + port}
	for _, c := range sameCalls() {
		c.Body = put.Replace(c.Body)
		res := c.ask(t, b)
		text := fmt.Sprintf("%d %s (%v)", res.Status, res.Body, res.Err)
		for _, name := range slices.Sorted(maps.Keys(res.Header)) {
			if name != "Date" && name != "Connection" { // Caddy closes connections when it replaces its endpoint
				text += fmt.Sprintf(" %s: %s", name, res.Header[name])
			}
		}
		says := site.Do(t.Context(), "site", res.End, harness.Request{})
		for range 5 {
			if cuts && (says.Fate == harness.EOF || says.Fate == harness.Reset) {
				says = site.Do(t.Context(), "site", time.Now(), harness.Request{})
			}
		}
		answers = append(answers, fmt.Sprintf("%s\nsite: %s %d %s", text, says.Fate, says.Status, says.Body))
	}
	return answers
}

// TestSameAnswersAsCaddy: what tools, and those who try, ask of the admin endpoint is
// answered by a broker as by a Caddy that supervises nothing, and the site says the same.
func TestSameAnswersAsCaddy(t *testing.T) {
	port := freePort(t)
	b := newBroker(t, strings.Replace(sameSite, "OPTION", "", 1), "PORT="+port)
	b.Args = []string{"run", "--config", "{}"}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	site := &harness.Client{Addr: "127.0.0.1:" + port}
	if err := harness.Until(t.Context(), soon, func() error {
		res := site.Do(t.Context(), "begin", time.Now(), harness.Request{})
		if res.Body != "begin" {
			return fmt.Errorf("the site answers %q (%w)", res.Body, res.Err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := answersOf(t, b, port, true)
	if err := b.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(strings.Replace(sameSite, "OPTION", "broker", 1)); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	answers(t, port, "begin")
	for i, got := range answersOf(t, b, port, false) {
		if got != want[i] {
			t.Errorf("%s\nCaddy:  %s\nbroker: %s", sameCalls()[i], want[i], got)
		}
	}
	awaitActive(t, b, 0) // and it is a broker still
}
