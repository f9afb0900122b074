// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"strings"
)

// Scope tells the rows of one table apart that belong to different places of a
// configuration.
type Scope uint8

// Row is one option of a configuration that is read into an S.
type Row[S any] struct {
	// Name is the option's name in a Caddyfile, in JSON and in status.
	Name string
	// Address are its names in a failover address, the usual one first; empty
	// where an address cannot give it.
	Address []string
	Scope   Scope
	Kind    Kind
	// Default, Allowed and Effect are for people. Allowed says "a duration" and "a
	// number of bytes"; errors replace that by the units of the place.
	Default string
	Allowed string
	Effect  string
	// Off is what the word off stands for; nil where it means nothing.
	Off any
	// Repeat options may be given on several lines, which add up.
	Repeat bool
	// Secret values are not shown in errors.
	Secret bool
	Access Access[S]
}

// Required is the default of an option that has to be given.
const Required = "required"

// ErrRange says that a value is not allowed, for no reason beyond what the row's
// Allowed says.
var ErrRange = errors.New("out of range")

// Expecting is what is allowed, in the units of a place.
func (r *Row[S]) Expecting(u Units) string {
	switch r.Kind {
	case Duration:
		return strings.Replace(r.Allowed, durationNoun, u.DurationText, 1)
	case Size:
		return strings.Replace(r.Allowed, sizeNoun, u.SizeText, 1)
	default:
		return r.Allowed
	}
}

// Get returns the value in s. It is nil where the option can be left out and was.
func (r *Row[S]) Get(s *S) any { return r.Access.Get(s) }

// Set puts a value, of the type that Kind tells, into s. What is not allowed
// changes nothing; like those of Read, the error shows the value and says what is
// allowed, but does not have the option's name.
func (r *Row[S]) Set(s *S, v any) error {
	return r.explain(Text(v), r.Access.Set(s, v), JSONUnits)
}

// Read sets the option to what a text says.
func (r *Row[S]) Read(s *S, text string, u Units) error {
	v, err := r.parse(text, u)
	if err == nil {
		err = r.Access.Set(s, v)
	}
	return r.explain(text, err, u)
}

// ReadArgs sets the option to what the arguments of a line say, and returns the
// value. Where the option has a value already and may repeat, the line adds to it.
func (r *Row[S]) ReadArgs(s *S, args []string, u Units) (any, error) {
	v, err := r.parseArgs(args, u)
	if _, count := errors.AsType[countError](err); count {
		return nil, fmt.Errorf("%w; expecting %s", err, r.Expecting(u))
	}
	if err == nil && r.Repeat {
		v, err = joined(r.Get(s), v)
	}
	if err == nil {
		err = r.Access.Set(s, v)
	}
	return v, r.explain(strings.Join(args, " "), err, u)
}

// explain adds to err the value and what is allowed.
func (r *Row[S]) explain(text string, err error, u Units) error {
	value := "value " + Quote(text)
	if r.Secret {
		value = "the value"
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRange), errors.Is(err, errSyntax):
		return fmt.Errorf("%s is not allowed: expecting %s", value, r.Expecting(u))
	default:
		return fmt.Errorf("%s: %w; expecting %s", value, err, r.Expecting(u))
	}
}

// Table is a list of options.
type Table[S any] []Row[S]

// Lookup returns the option of that name, or nil.
func (t Table[S]) Lookup(name string) *Row[S] {
	for i := range t {
		if t[i].Name == name {
			return &t[i]
		}
	}
	return nil
}

// Names are those of all options, in the table's order.
func (t Table[S]) Names() []string {
	names := make([]string, len(t))
	for i := range t {
		names[i] = t[i].Name
	}
	return names
}

// Check sets every option that s has once more and so checks its value, and finds
// those that are required and missing; the error names the option.
func (t Table[S]) Check(s *S) error {
	for i := range t {
		v := t[i].Get(s)
		if v == nil && t[i].Default == Required {
			return fmt.Errorf("option %s is missing: expecting %s", t[i].Name, t[i].Expecting(JSONUnits))
		}
		if v == nil {
			continue
		}
		if err := t[i].Set(s, v); err != nil {
			return fmt.Errorf("option %s: %w", t[i].Name, err)
		}
	}
	return nil
}
