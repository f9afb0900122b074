// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// access reads and writes one option in S. Values have the type of the option's
// Kind; set refuses what is not allowed and then changes nothing.
type access[S any] struct {
	get func(*S) any
	set func(*S, any) error
}

// errRange says that a value is not allowed, for no reason beyond what the
// option's Allowed says.
var errRange = errors.New("out of range")

// Set puts a value, of the type that Kind tells, into o. The error tells value
// and what is allowed, not the option's name.
func (opt *Option) Set(o *Options, v any) error {
	return opt.explain(v, opt.pool.set(o, v))
}

// Get returns the option's value in o.
func (opt *Option) Get(o *Options) any { return opt.pool.get(o) }

// SetAddress is Set for options of ScopeAddress.
func (opt *Option) SetAddress(o *URIOptions, v any) error {
	return opt.explain(v, opt.address.set(o, v))
}

// GetAddress is Get for options of ScopeAddress. It returns nil when the option
// was not given, and for an option of another scope.
func (opt *Option) GetAddress(o *URIOptions) any {
	if opt.Scope != ScopeAddress {
		return nil
	}
	return opt.address.get(o)
}

func (opt *Option) explain(v any, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errRange):
		return fmt.Errorf("value %s is not allowed: expecting %s", Quote(configText(v)), opt.Allowed)
	default:
		return fmt.Errorf("value %s: %w; expecting %s", Quote(configText(v)), err, opt.Allowed)
	}
}

// field is the access to a plain field.
func field[S, T any](at func(*S) *T, checks ...func(T) error) access[S] {
	return access[S]{
		get: func(s *S) any { return *at(s) },
		set: func(s *S, v any) error {
			t, err := checked(v, checks)
			if err == nil {
				*at(s) = t
			}
			return err
		},
	}
}

// optional is the access to a field that is nil when it was not given.
func optional[S, T any](at func(*S) **T, checks ...func(T) error) access[S] {
	return access[S]{
		get: func(s *S) any {
			if p := *at(s); p != nil {
				return *p
			}
			return nil
		},
		set: func(s *S, v any) error {
			t, err := checked(v, checks)
			if err == nil {
				*at(s) = &t
			}
			return err
		},
	}
}

// marked notes beside the value that it was given.
func marked[S any](a access[S], given func(*S) *bool) access[S] {
	set := a.set
	a.set = func(s *S, v any) error {
		err := set(s, v)
		if err == nil {
			*given(s) = true
		}
		return err
	}
	return a
}

// listField is the access to a list whose entries are checked one by one.
func listField[S any](at func(*S) *[]string, check func(string) error) access[S] {
	return field(at, func(list []string) error {
		if len(list) == 0 {
			return errEmptyList
		}
		for _, entry := range list {
			if err := check(entry); err != nil {
				return fmt.Errorf("entry %s: %w", Quote(entry), err)
			}
		}
		return nil
	})
}

var errEmptyList = errors.New("the list is empty")

func checked[T any](v any, checks []func(T) error) (T, error) {
	t, ok := v.(T)
	if !ok {
		return t, fmt.Errorf("it has type %T instead of %T", v, t)
	}
	for _, check := range checks {
		if err := check(t); err != nil {
			return t, err
		}
	}
	return t, nil
}

// within refuses what is below low or above high, and what is no number.
func within[T cmp.Ordered](low, high T) func(T) error {
	return func(v T) error {
		if v >= low && v <= high {
			return nil
		}
		return errRange
	}
}

func notNegative(d time.Duration) error {
	if d < 0 {
		return errRange
	}
	return nil
}

func positive(d time.Duration) error {
	if d <= 0 {
		return errRange
	}
	return nil
}

func noLimitOrPositive(d time.Duration) error {
	if d == noLimit {
		return nil
	}
	return positive(d)
}
