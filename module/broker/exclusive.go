// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// Values of the option replace.
const (
	replaceOverlap   = "overlap"
	replaceStopFirst = "stop_first"
)

// checkReplace reports whether a word is a value of the option.
func checkReplace(word string) error {
	if word != replaceOverlap && word != replaceStopFirst {
		return options.ErrRange
	}
	return nil
}

// replacement says in s how the child is replaced: as the option wants it or, if it
// is empty, as the child's modules need it. Where a process opens its addresses itself,
// because a parent cannot lend it sockets, it must have left them before the next one is
// loaded, whatever the option wants.
func (c *Child) replacement(s *childSpec, option string) error {
	if option == "" {
		s.locks = c.exclusiveModule()
	}
	s.StopFirst = option == replaceStopFirst || s.locks != "" || !control.PassesSockets
	switch {
	case !s.StopFirst || s.Standby == 0:
		return nil
	case s.locks != "":
		return fmt.Errorf("standby %d: the configuration has %s, which cannot be loaded twice at the same time, so there can be no spare: "+
			"remove the option, or use `replace overlap` if that is not so", s.Standby, s.locks)
	case !control.PassesSockets:
		return fmt.Errorf("standby %d: on this system a process opens its addresses itself, so there can be no spare beside the one that serves: "+
			"remove the option", s.Standby)
	default:
		return fmt.Errorf("standby %d contradicts replace %s: a spare would be loaded beside the process that serves", s.Standby, replaceStopFirst)
	}
}

// exclusiveModule names the first module of the child's configuration that is known to
// keep a file locked for itself as long as it is loaded; empty is none.
func (c *Child) exclusiveModule() string {
	value := c.decoded
	if value == nil && json.Unmarshal(c.Config, &value) != nil {
		return ""
	}
	cfg, _ := value.(map[string]any)
	apps, _ := cfg["apps"].(map[string]any)
	if app, ok := apps["cache"].(map[string]any); ok && lockedCache(app) {
		return "cache"
	}
	return exclusiveHandler(apps)
}

// exclusiveHandler is exclusiveModule of the handlers below value.
func exclusiveHandler(value any) string {
	var below []any
	switch value := value.(type) {
	case []any:
		below = value
	case map[string]any:
		handler, _ := value["handler"].(string)
		transport, _ := value["transport"].(map[string]any)
		switch {
		case handler == "acme_server", // a database of its own
			handler == "mercure" && (transport == nil || transport["name"] == "bolt"),
			handler == "cache" && lockedCache(value):
			return handler
		}
		for _, v := range value {
			below = append(below, v)
		}
	}
	for _, v := range below {
		if name := exclusiveHandler(v); name != "" {
			return name
		}
	}
	return ""
}

// lockedCache reports whether a cache stores in files that one process can open.
func lockedCache(options map[string]any) bool {
	return slices.ContainsFunc([]string{"badger", "nuts"}, func(store string) bool { return options[store] != nil })
}

// looksLocked matches what modules say when another process has what they want.
var looksLocked = regexp.MustCompile(`(?i)\b(lock|locked|timeout|temporarily unavailable)\b`)

// replace is the supervisor's Replace, with advice where a failure looks as if two
// processes wanted the same thing.
func (c *Hosted) replace(ctx context.Context, spec *supervisor.Spec) error {
	err := c.sup.Replace(ctx, spec)
	if err == nil || errors.Is(err, supervisor.ErrStoppedFirst) || !looksLocked.MatchString(err.Error()) {
		return err
	}
	return fmt.Errorf("%w; if a module keeps something locked that its successor needs, set `replace %s` in the broker's options", err, replaceStopFirst)
}
