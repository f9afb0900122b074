// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"strings"
	"testing"
)

// What cannot be loaded twice is found wherever it stands; what only looks like it
// is not.
func TestExclusiveModule(t *testing.T) {
	t.Parallel()
	site := func(handler string) string {
		return `{"apps": {"http": {"servers": {"s": {"routes": [{"handle": [{"handler": "subroute", "routes": [{"handle": [` + handler + `]}]}]}]}}}}}`
	}
	for config, want := range map[string]string{
		"":                                 "",
		"null":                             "",
		`{"apps":1}`:                       "",
		site(`{"handler": "acme_server"}`): "acme_server",
		site(`{"handler": "mercure"}`):     "mercure",
		site(`{"handler": "mercure", "transport": {"name": "bolt"}}`):           "mercure",
		site(`{"handler": "mercure", "transport": {"name": "local"}}`):          "",
		site(`{"handler": "cache", "badger": {"path": "x"}}`):                   "cache",
		site(`{"handler": "cache", "redis": {"url": "x"}}`):                     "",
		site(`{"handler": "static_response", "body": "acme_server"}`):           "",
		site(`{"handler": "reverse_proxy", "transport": {"protocol": "http"}}`): "",
		`{"apps": {"cache": {"nuts": {}}}}`:                                     "cache",
		`{"apps": {"cache": {"ttl": "1s"}}}`:                                    "",
	} {
		if got := (&Child{Config: []byte(config)}).exclusiveModule(); got != want {
			t.Errorf("%s: got %q, want %q", config, got, want)
		}
	}
}

func TestReplaceOption(t *testing.T) {
	t.Parallel()
	plain, locking := `{}`, `{"apps": {"http": {"x": {"handler": "acme_server"}}}}`
	for _, test := range []struct {
		option, config string
		standby        int
		stopFirst      bool
		fails          string
	}{
		{"", plain, 1, false, ""},
		{"", locking, 0, true, ""},
		{"", locking, 1, false, "cannot be loaded twice"},
		{"overlap", locking, 1, false, ""},
		{"stop_first", plain, 0, true, ""},
		{"stop_first", plain, 1, false, "contradicts"},
		{"later", plain, 0, false, "expecting overlap or stop_first"},
	} {
		c := &Child{Config: json.RawMessage(test.config)}
		spec, err := c.spec(DefaultChild, ChildOptions{Replace: test.option, Standby: &test.standby})
		switch {
		case test.fails != "":
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%+v: got error %v", test, err)
			}
		case err != nil:
			t.Errorf("%+v: %v", test, err)
		case spec.StopFirst != test.stopFirst:
			t.Errorf("%+v: stop first is %v", test, spec.StopFirst)
		}
	}
}
