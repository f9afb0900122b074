// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func parse(text string) (Probe, error) {
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	return Unmarshal(d)
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	p, err := parse(`probe GET https://example.com/health {
		expect 200 3xx
		header X-One a*
		header X-Two b
		body_contains ok
		request_header Authorization "Basic x"
		timeout 2s
	}`)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"method":"GET","url":"https://example.com/health","expect":["200","3xx"],"header":{"X-One":"a*","X-Two":"b"},` +
		`"body_contains":"ok","request_header":{"Authorization":"Basic x"},"timeout":2000000000,"at":"Testfile:1"}`
	if string(text) != want {
		t.Errorf("read\n%s, want\n%s", text, want)
	}
	var again Probe
	if err := json.Unmarshal(text, &again); err != nil || Check([]Probe{again}) != nil {
		t.Errorf("reading it again: %v, %v", err, Check([]Probe{again}))
	}
}

// What is wrong with a probe is said with its place.
func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`probe GET`:                                               "a probe has a method and an address",
		`probe get http://a/`:                                     `"get" is no method`,
		`probe POST http://a/`:                                    "the method may change something",
		`probe CONNECT http://a/`:                                 "CONNECT has no answer",
		`probe GET ftp://a/`:                                      "its address is not allowed",
		`probe GET /health`:                                       "its address is not allowed",
		`probe GET http://u:p@a/`:                                 "its address has a user",
		`probe GET http://a/#x`:                                   "its address has a fragment",
		`probe GET http://a:99999/`:                               "port 99999 is not allowed",
		"probe GET http://a/ {\n expect 100\n}":                   `value "100" is not allowed: expecting statuses from 200 to 599`,
		"probe GET http://a/ {\n expect 6xx\n}":                   "is not allowed: expecting statuses",
		"probe GET http://a/ {\n expected 200\n}":                 `unknown option "expected": did you mean expect?`,
		"probe GET http://a/ {\n timeout 2m\n}":                   "is not allowed: expecting a duration such as",
		"probe GET http://a/ {\n timeout 0\n}":                    "is not allowed: expecting a duration such as",
		"probe GET http://a/ {\n header \"a b\" c\n}":             "is no header field",
		"probe GET http://a/ {\n expect 204\n body_contains x\n}": "body_contains can never hold: an answer with status 204 has no body",
		"probe HEAD http://a/ {\n body_contains x\n}":             "body_contains can never hold: the answer to HEAD has no body",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at Testfile:") {
			t.Errorf("%s: error %v, want %q and the place", text, err, want)
		}
	}
	if _, err := parse("probe POST http://a/ {\n unsafe\n}"); err != nil {
		t.Error(err)
	}
	if err := Check(make([]Probe, MaxProbes+1)); err == nil || !strings.Contains(err.Error(), "at most 64") {
		t.Errorf("error %v for too many", err)
	}
	if err := json.Unmarshal([]byte(`{"method":"GET","uri":"http://a/"}`), new(Probe)); err == nil || !strings.Contains(err.Error(), `unknown option "uri": did you mean url?`) {
		t.Errorf("error %v for an unknown member", err)
	}
}

// A host that no site has is an error, as far as that can be known.
func TestServed(t *testing.T) {
	t.Parallel()
	const sites = `{"http_port":8080,"servers":{
		"one":{"listen":[":443"],"routes":[{"match":[{"host":["example.com","*.example.org"]}]},{"match":[{"host":["{env.NAME}"],"path":["/x"]}]}]},
		"two":{"listen":["127.0.0.1:9000-9002"],"routes":[{"match":[{"path":["/x"]}]}]},
		"three":{"listen":["unix//run/x.sock"]},
		"four":{"listen":[":9100"],"routes":[{"match":[{"host":["four.example"]}]}]}
	}}`
	var config any
	if err := json.Unmarshal([]byte(sites), &config); err != nil {
		t.Fatal(err)
	}
	for url, served := range map[string]bool{
		"https://example.com/":        true,
		"https://EXAMPLE.com/":        true,
		"https://a.example.org/":      true,
		"https://any.where/":          true, // it may be what the variable says
		"https://four.example:9100/":  true,
		"https://other.example:9100/": false,
		"http://example.com/":         true, // Caddy redirects
		"http://example.com:80/":      false,
		"http://any.name:9001/":       true,
		"http://any.name:9003/":       false,
	} {
		p := Probe{Method: "GET", URL: url, At: "Caddyfile:7"}
		err := Served([]Probe{p}, config)
		if served != (err == nil) || err != nil && !strings.HasSuffix(err.Error(), ", at Caddyfile:7") {
			t.Errorf("%s: %v, want served %v", url, err, served)
		}
	}
	if err := Served([]Probe{{URL: "https://a/"}}, nil); err == nil {
		t.Error("a configuration without sites serves a host")
	}
	if err := Served([]Probe{{URL: "https://a/"}}, []any{"not an app"}); err != nil {
		t.Errorf("what cannot be read is an error here: %v", err)
	}
}
