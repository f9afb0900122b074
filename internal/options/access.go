// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Access reads and writes one option in S. Values have the type of the option's
// kind; Set refuses what is not allowed and then changes nothing.
type Access[S any] struct {
	Get func(*S) any
	Set func(*S, any) error
}

// Field is the access to a plain field.
func Field[S, T any](at func(*S) *T, checks ...func(T) error) Access[S] {
	return Access[S]{
		Get: func(s *S) any { return *at(s) },
		Set: func(s *S, v any) error {
			t, err := Checked(v, checks...)
			if err == nil {
				*at(s) = t
			}
			return err
		},
	}
}

// Omissible takes the zero value for an option that was not given.
func Omissible[S any](a Access[S]) Access[S] {
	get := a.Get
	a.Get = func(s *S) any {
		if v := get(s); v != nil && !reflect.ValueOf(v).IsZero() {
			return v
		}
		return nil
	}
	return a
}

// Optional is the access to a field that is nil when it was not given.
func Optional[S, T any](at func(*S) **T, checks ...func(T) error) Access[S] {
	return Access[S]{
		Get: func(s *S) any {
			if p := *at(s); p != nil {
				return *p
			}
			return nil
		},
		Set: func(s *S, v any) error {
			t, err := Checked(v, checks...)
			if err == nil {
				*at(s) = &t
			}
			return err
		},
	}
}

// OptionalDuration is the same for a type of its own, such as Caddy's.
func OptionalDuration[S any, D ~int64](at func(*S) **D, checks ...func(time.Duration) error) Access[S] {
	return Access[S]{
		Get: func(s *S) any {
			if p := *at(s); p != nil {
				return time.Duration(*p)
			}
			return nil
		},
		Set: func(s *S, v any) error {
			t, err := Checked(v, checks...)
			if err == nil {
				d := D(t)
				*at(s) = &d
			}
			return err
		},
	}
}

// Entries is the access to a list whose entries are checked one by one.
func Entries[S any](at func(*S) *[]string, check func(string) error) Access[S] {
	return Field(at, func(list []string) error {
		if len(list) == 0 {
			return ErrEmptyList
		}
		for _, entry := range list {
			if err := check(entry); err != nil {
				return fmt.Errorf("entry %s: %w", Quote(entry), err)
			}
		}
		return nil
	})
}

// ErrEmptyList is the error of a list without entries.
var ErrEmptyList = errors.New("the list is empty")

// Marked notes beside the value that it was given.
func Marked[S any](a Access[S], given func(*S) *bool) Access[S] {
	set := a.Set
	a.Set = func(s *S, v any) error {
		err := set(s, v)
		if err == nil {
			*given(s) = true
		}
		return err
	}
	return a
}

// Checked is v as a T that passes all checks.
func Checked[T any](v any, checks ...func(T) error) (T, error) {
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

// Within refuses what is below low or above high, and what is no number.
func Within[T cmp.Ordered](low, high T) func(T) error {
	return func(v T) error {
		if v >= low && v <= high {
			return nil
		}
		return ErrRange
	}
}

// NotNegative refuses durations below 0.
func NotNegative(d time.Duration) error {
	if d < 0 {
		return ErrRange
	}
	return nil
}

// Positive refuses durations of 0 and below.
func Positive(d time.Duration) error {
	if d <= 0 {
		return ErrRange
	}
	return nil
}

// NoLimitOr accepts NoLimit, and otherwise what check accepts.
func NoLimitOr(check func(time.Duration) error) func(time.Duration) error {
	return func(d time.Duration) error {
		if d == NoLimit {
			return nil
		}
		return check(d)
	}
}
