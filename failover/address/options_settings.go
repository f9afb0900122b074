// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"time"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// Setting is one option in effect, for status and logs.
type Setting struct {
	Name string
	// Value is plain and serialisable, in the form a configuration takes.
	Value any
	// Default tells that it is what one gets without asking.
	Default bool
}

// Settings are all options in effect, in the table's order, defaults included.
// Of the nested ones those that were given are listed, as "nested.NAME".
func (o Options) Settings() []Setting {
	def := DefaultOptions()
	def.StartupMaxReconnectAttempts = o.MaxReconnectAttempts
	list := make([]Setting, 0, len(table))
	for i := range table {
		opt := &table[i]
		if opt.Scope == ScopeAddress {
			if v := opt.Get(&o); v != nil {
				list = append(list, Setting{Name: "nested." + opt.Name, Value: plain(v)})
			}
			continue
		}
		s := Setting{Name: opt.Name, Value: plain(opt.Get(&o))}
		s.Default = options.Text(opt.Get(&def)) == options.Text(opt.Get(&o))
		if opt.Name == "affinity" {
			s.Value = o.EffectiveAffinity().String()
		}
		list = append(list, s)
	}
	return list
}

// plain is the value as JSON configuration writes it: durations as text, and -1
// as the number.
func plain(v any) any {
	switch v := v.(type) {
	case time.Duration:
		if v == noLimit {
			return -1
		}
		return options.DurationString(v)
	case []string:
		if v == nil {
			return []string{} // a list in JSON too
		}
	}
	return v
}
