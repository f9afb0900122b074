// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package policyconfig

import (
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/internal/options"
)

// The fields of Config and AddressOptions are found by their JSON names,
// which are those of the table of options; a test keeps both the same.

// givenOptions are the options that a *Config or *AddressOptions sets, with
// values of the types that the table of options has.
func givenOptions(config any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		s := reflect.ValueOf(config).Elem()
		for i := range s.NumField() {
			name := jsonName(s.Type().Field(i))
			if _, err := address.LookupOption(scopeOf(config), name); err != nil {
				continue // nested and address_options are no options themselves
			}
			if v, ok := fieldValue(s.Field(i)); ok && !yield(name, v) {
				return
			}
		}
	}
}

// setOption sets the field of that name.
func setOption(config any, name string, v any) {
	s := reflect.ValueOf(config).Elem()
	for i := range s.NumField() {
		if jsonName(s.Type().Field(i)) != name {
			continue
		}
		f := s.Field(i)
		if f.Kind() != reflect.Pointer {
			f.Set(reflect.ValueOf(v))
			return
		}
		p := reflect.New(f.Type().Elem())
		p.Elem().Set(reflect.ValueOf(v).Convert(p.Type().Elem()))
		f.Set(p)
		return
	}
}

func isGiven(config any, name string) bool {
	for given := range givenOptions(config) {
		if given == name {
			return true
		}
	}
	return false
}

func scopeOf(config any) address.Scope {
	if _, ok := config.(*AddressOptions); ok {
		return address.ScopeAddress
	}
	return address.ScopePool
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// fieldValue is the value of a field, and whether it was given.
func fieldValue(f reflect.Value) (any, bool) {
	if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 {
		return nil, false
	}
	if f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	if d, ok := reflect.TypeAssert[caddy.Duration](f); ok {
		return time.Duration(d), true
	}
	return f.Interface(), true
}

// UnmarshalJSON reads the options of a policy.
func (c *Config) UnmarshalJSON(data []byte) error {
	type plain Config
	return options.Decode(data, (*plain)(c), func(name string) (options.Member, error) {
		switch name {
		case "nested":
			return options.Member{}, nil
		case "address_options":
			return options.Member{Named: true}, nil
		}
		opt, err := address.LookupOption(address.ScopePool, name, "nested", "address_options")
		if err != nil {
			return options.Member{}, err
		}
		return opt.Member(), nil
	})
}

// UnmarshalJSON reads the options of an address.
func (c *AddressOptions) UnmarshalJSON(data []byte) error {
	type plain AddressOptions
	return options.Decode(data, (*plain)(c), func(name string) (options.Member, error) {
		opt, err := address.LookupOption(address.ScopeAddress, name)
		if err != nil {
			return options.Member{}, err
		}
		return opt.Member(), nil
	})
}

// ReadAddress parses a failover address and adds what it says. It returns the
// names of its backends, scheme included, and what it asks for in vain.
func (c *Config) ReadAddress(text string) (backends, warnings []string, err error) {
	a, err := address.Parse(text)
	if err != nil {
		return nil, nil, err
	}
	c.SetAddress(a)
	for _, u := range a.URIs {
		backends = append(backends, u.Name())
	}
	return backends, a.Warnings, nil
}

// SetAddress adds what a failover address says: its options, and those of its
// addresses. It is for configurations that have not set any of them yet.
func (c *Config) SetAddress(a *address.Address) {
	for _, given := range a.Given {
		name, nested := strings.CutPrefix(given, "nested.")
		if !nested {
			opt, err := address.LookupOption(address.ScopePool, name)
			if err == nil {
				setOption(c, name, opt.Get(&a.Options))
			}
		}
	}
	c.Nested = addressConfig(a.Options.Nested)
	for _, u := range a.URIs {
		if own := addressConfig(u.Options); own != nil {
			if c.AddressOptions == nil {
				c.AddressOptions = make(map[string]*AddressOptions)
			}
			c.AddressOptions[u.Dial()] = own
		}
	}
}

// addressConfig is nil when no option is given.
func addressConfig(o address.URIOptions) *AddressOptions {
	if o == (address.URIOptions{}) {
		return nil
	}
	c := new(AddressOptions)
	all := address.Options{Nested: o}
	for _, opt := range address.OptionTable() {
		if opt.Scope != address.ScopeAddress {
			continue
		}
		if v := opt.Get(&all); v != nil {
			setOption(c, opt.Name, v)
		}
	}
	return c
}
