// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package environment

import (
	"slices"
	"strings"
	"testing"
)

// A child gets what it needs of the environment: programs little, a Caddy what it and
// its configuration use, and none the network's key.
func TestChildEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"PATH": "/bin", "LC_TEST": "C", "XDG_TEST": "x", "CADDY_TEST": "c", "OTEL_TEST": "o", "HTTPS_PROXY": "http://proxy",
		"USED_IN_SITES": "u", "OTHER": "secret", "GOSSIP": "the key of the network", "CADDY_GOSSIP": "key=the key of the network",
		"NOTIFY_SOCKET": "/run/notify", "HANDED": "over",
	} {
		t.Setenv(name, value)
	}
	config := []byte(`{"a":"{env.USED_IN_SITES} {env.GOSSIP} {env.NOTIFY_SOCKET} {http.vars.OTHER}"}`)
	add := map[string]string{"ADDED": "a={env.HANDED}", "BRACES": `{"json":1}`}
	for _, c := range []struct {
		name     string
		config   []byte
		add      map[string]string
		has, not []string
	}{
		{
			"program", nil, add,
			[]string{"PATH=/bin", "LC_TEST=C", "XDG_TEST=x", "ADDED=a=over", `BRACES={"json":1}`},
			[]string{"CADDY_TEST", "OTEL_TEST", "HTTPS_PROXY", "USED_IN_SITES", "OTHER", "GOSSIP", "CADDY_GOSSIP", "NOTIFY_SOCKET", "HANDED"},
		},
		{
			"Caddy", config, nil,
			[]string{"PATH=/bin", "CADDY_TEST=c", "OTEL_TEST=o", "HTTPS_PROXY=http://proxy", "USED_IN_SITES=u"},
			[]string{"OTHER", "GOSSIP", "CADDY_GOSSIP", "NOTIFY_SOCKET", "HANDED"},
		},
		{"operator's word", config, map[string]string{"GOSSIP": "{env.GOSSIP}"}, []string{"GOSSIP=the key of the network"}, []string{"OTHER"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := Child(c.config, c.add, "the key of the network", "")
			for _, want := range c.has {
				if !slices.Contains(env, want) {
					t.Errorf("%s is missing in %q", want, env)
				}
			}
			missing := Withheld(env)
			for _, name := range c.not {
				if slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") }) {
					t.Errorf("it has %s", name)
				}
				if name != "NOTIFY_SOCKET" && !slices.Contains(missing, name) {
					t.Errorf("%s is not among %q", name, missing)
				}
			}
		})
	}
}
