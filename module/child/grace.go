// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// GraceOf is the longest time that a configuration gives to requests and streams when it
// is replaced: Caddy's grace_period, and the stream_close_delay of its proxies. It is 0
// where the configuration says nothing, or what Caddy will refuse.
func GraceOf(config []byte) time.Duration {
	var cfg struct {
		Apps struct {
			HTTP any `json:"http"`
		} `json:"apps"`
	}
	if json.Unmarshal(config, &cfg) != nil {
		return 0
	}
	app, _ := cfg.Apps.HTTP.(map[string]any)
	longest := durationOf(app, "grace_period")
	for proxy := range proxiesIn(app) {
		longest = max(longest, durationOf(proxy, "stream_close_delay"))
	}
	return longest
}

// proxiesIn are the handlers reverse_proxy in a configuration, however deep in routes.
func proxiesIn(value any) func(yield func(map[string]any) bool) {
	return func(yield func(map[string]any) bool) {
		var walk func(value any) bool
		walk = func(value any) bool {
			switch value := value.(type) {
			case map[string]any:
				if value["handler"] == "reverse_proxy" && !yield(value) {
					return false
				}
				for _, inner := range value {
					if !walk(inner) {
						return false
					}
				}
			case []any:
				for _, inner := range value {
					if !walk(inner) {
						return false
					}
				}
			}
			return true
		}
		walk(value)
	}
}

// durationOf is the duration under a name, in whichever case, as Caddy reads it; 0 if
// there is none.
func durationOf(obj map[string]any, name string) time.Duration {
	for key, value := range obj {
		if !strings.EqualFold(key, name) {
			continue
		}
		var d caddy.Duration
		if text, err := json.Marshal(value); err == nil && d.UnmarshalJSON(text) == nil {
			return time.Duration(d)
		}
	}
	return 0
}
