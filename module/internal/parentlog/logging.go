// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package parentlog

import (
	"encoding/json"
	"strings"
)

// Logging is the member `logging` of a process that supervises, made of the user's: the
// default log's level and format, on standard error, without the requests that only ask how
// the broker is; at level debug they are there, too. What cannot be read the child refuses,
// in Caddy's words.
func Logging(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	var logging struct {
		Logs map[string]struct {
			Level   any `json:"level,omitempty"`
			Encoder any `json:"encoder,omitempty"`
		} `json:"logs"`
	}
	if json.Unmarshal(text, &logging) != nil {
		return nil
	}
	own := logging.Logs["default"]
	def := map[string]any{"writer": map[string]any{"output": "stderr"}}
	level, _ := own.Level.(string)
	encoder := map[string]any{"format": Format}
	if own.Encoder != nil {
		encoder["wrap"] = own.Encoder
	}
	switch {
	case !strings.EqualFold(level, "debug"):
		def["encoder"] = encoder
	case own.Encoder != nil:
		def["encoder"] = own.Encoder
	}
	if own.Level != nil {
		def["level"] = own.Level
	}
	return map[string]any{"logs": map[string]any{"default": def}}
}
