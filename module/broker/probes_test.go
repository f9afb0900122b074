// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// What may change something is sent before the new process serves, and never again.
func TestUnsafeProbesAreSentOnce(t *testing.T) {
	t.Parallel()
	safe := probe.Probe{Method: "GET", URL: "http://a.example/"}
	unsafe := probe.Probe{Method: "POST", URL: "http://a.example/order", Unsafe: true}
	for name, c := range map[string]struct {
		probes        []probe.Probe
		before, again int
	}{
		"none": {nil, 0, 0},
		"safe": {[]probe.Probe{safe}, 1, 1},
		"both": {[]probe.Probe{safe, unsafe}, 2, 1},
		"only": {[]probe.Probe{unsafe}, 1, 0},
	} {
		app, spec := new(App), new(supervisor.Spec)
		app.Probes = c.probes
		if err := app.prove(spec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var before, again []probe.Probe
		if err := json.Unmarshal(spec.Prove, &before); err != nil || len(before) != c.before {
			t.Errorf("%s: before it serves, %s is sent (%v)", name, spec.Prove, err)
		}
		if c.again == 0 {
			if spec.Probe != nil {
				t.Errorf("%s: %s is sent again", name, spec.Probe)
			}
			continue
		}
		if err := json.Unmarshal(spec.Probe, &again); err != nil || len(again) != c.again || again[0].Unsafe {
			t.Errorf("%s: %s is sent again (%v)", name, spec.Probe, err)
		}
	}
}

// Where a probe stands in a file makes no other configuration of it, what it asks for does.
func TestDigestOfProbes(t *testing.T) {
	t.Parallel()
	const config = `{"apps":{"broker":{"probes":[{"method":"GET","url":"http://a.example/","at":"Caddyfile:5"}],"standby":1}}}`
	of := func(old, repl string) string {
		d, err := document.Parse([]byte(strings.Replace(config, old, repl, 1)))
		if err != nil {
			t.Fatal(err)
		}
		text := string(d.JSON())
		sum := digest(d)
		if again, err := json.Marshal(d.Config()); err != nil || string(again) != text {
			t.Errorf("the configuration became %s (%v)", again, err)
		}
		return sum
	}
	for old, repl := range map[string]string{"Caddyfile:5": "/etc/caddy/Caddyfile:6", `,"at":"Caddyfile:5"`: ""} {
		if of(old, repl) != of("", "") {
			t.Errorf("%s instead of %s is another configuration", repl, old)
		}
	}
	for old, repl := range map[string]string{"a.example": "b.example", `"standby":1`: `"standby":2`, "GET": "HEAD"} {
		if of(old, repl) == of("", "") {
			t.Errorf("%s instead of %s is the same configuration", repl, old)
		}
	}
}
