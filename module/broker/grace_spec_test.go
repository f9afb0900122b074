// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// TestGraceOfCaddysWords: what Caddy is told to allow counts, where it is more than the
// default and nothing else was said.
func TestGraceOfCaddysWords(t *testing.T) {
	const proxy = `{"apps":{"http":{"grace_period":"90s","servers":{"srv0":{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[
		{"handler":"reverse_proxy","stream_close_delay":"2h"},{"handler":"reverse_proxy","stream_close_delay":60000000000}]}]}]}]}}}}}`
	for name, c := range map[string]struct {
		config string
		set    *caddy.Duration
		want   time.Duration
	}{
		"nothing":             {`{}`, nil, time.Minute},
		"null":                {`null`, nil, time.Minute},
		"shorter":             {`{"apps":{"http":{"grace_period":"10s"}}}`, nil, time.Minute},
		"longer":              {`{"apps":{"http":{"grace_period":"1d"}}}`, nil, 24 * time.Hour},
		"nanoseconds":         {`{"apps":{"http":{"Grace_Period":120000000000}}}`, nil, 2 * time.Minute},
		"not a duration":      {`{"apps":{"http":{"grace_period":[]}}}`, nil, time.Minute},
		"streams":             {proxy, nil, 2 * time.Hour},
		"but drain_timeout":   {proxy, new(caddy.Duration(time.Second)), time.Second},
		"or for ever":         {proxy, new(caddy.Duration(0)), 0},
		"another handler's":   {`{"apps":{"http":{"servers":{"a":{"routes":[{"handle":[{"handler":"x","stream_close_delay":"2h"}]}]}}}}}`, nil, time.Minute},
		"another application": {`{"apps":{"layer4":{"grace_period":"2h"}}}`, nil, time.Minute},
	} {
		child := &Child{Config: json.RawMessage(c.config)}
		spec, err := child.spec(DefaultChild, ChildOptions{DrainTimeout: c.set})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if spec.DrainTimeout != c.want {
			t.Errorf("%s: %v, want %v", name, spec.DrainTimeout, c.want)
		}
	}
}
