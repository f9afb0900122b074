// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"strconv"
	"strings"
)

// lookupConfig finds an option by its name in a Caddyfile.
func lookupConfig(name string) *Option {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// lookupAddress finds an option by a name in an address. The case of the first
// letter does not matter.
func lookupAddress(scope Scope, name string) *Option {
	if name == "" {
		return nil
	}
	name = strings.ToLower(name[:1]) + name[1:]
	for i := range table {
		for _, n := range table[i].Address {
			if table[i].Scope == scope && n == name {
				return &table[i]
			}
		}
	}
	return nil
}

// LookupOption finds the option with that name in a configuration. The error of
// an unknown one names what is allowed.
func LookupOption(scope Scope, name string) (Option, error) {
	if o := lookupConfig(name); o != nil && o.Scope == scope {
		return *o, nil
	}
	var hint string
	switch o := similar(name); {
	case o == nil:
		hint = foreignOption(name)
	case o.Scope != scope:
		hint = elsewhere(o, o.Name, "the block nested { }", "the block address HOST:PORT { }")
	default:
		hint = "write " + o.Name + "; "
	}
	allowed := strings.Join(configNames(scope), ", ")
	if scope == ScopePool {
		allowed += " and the blocks nested and address"
	}
	return Option{}, fmt.Errorf("unknown option %s: %sallowed are %s", Quote(name), hint, allowed)
}

func unknownAddressOption(scope Scope, name string) error {
	bare := strings.TrimPrefix(name, "nested.")
	var hint string
	switch o := similar(bare); {
	case o == nil:
		hint = foreignOption(bare)
	case o.Scope != scope && len(o.Address) > 0:
		hint = elsewhere(o, o.Address[0], "nested."+o.Address[0], "the query of the address")
	case len(o.Address) == 0:
		hint = "an address cannot give " + o.Name + ", set it in the block of lb_policy failover; "
	default:
		hint = "write " + o.Address[0] + "; "
	}
	return fmt.Errorf("unknown option %s: %sallowed are %s", Quote(name), hint, strings.Join(addressNames(scope), ", "))
}

// elsewhere says where an option of the other scope belongs.
func elsewhere(o *Option, name, all, one string) string {
	if o.Scope == ScopePool {
		place := "it goes into the block of lb_policy failover"
		if len(o.Address) > 0 {
			place += ", or behind the parentheses of a list, failover:(...)?" + o.Address[0] + "=..."
		}
		return name + " is an option of the pool, not of one address: " + place + "; "
	}
	return name + " is an option of single addresses: for all of them use " + all + ", for one " + one + "; "
}

func nameIn(o *Option) string {
	if len(o.Address) > 0 {
		return o.Address[0]
	}
	return o.Name
}

// similar finds the option that a misspelt name means: other case, underscores,
// a spelling of another place, an ampersand that was escaped for XML.
func similar(name string) *Option {
	want := fold(strings.TrimPrefix(name, "amp;"))
	for i := range table {
		o := &table[i]
		if fold(o.Name) == want {
			return o
		}
		for _, n := range o.Address {
			if fold(n) == want {
				return o
			}
		}
	}
	return nil
}

func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(s))
}

func configNames(scope Scope) []string {
	var names []string
	for i := range table {
		if table[i].Scope == scope {
			names = append(names, table[i].Name)
		}
	}
	return names
}

func addressNames(scope Scope) []string {
	var names []string
	for i := range table {
		if table[i].Scope == scope {
			names = append(names, table[i].Address...)
		}
	}
	if scope == ScopePool {
		for i := range table {
			if table[i].Scope == ScopeAddress {
				names = append(names, "nested."+table[i].Address[0])
			}
		}
	}
	return names
}

// valueError adds an option's name, as the user wrote it, to what is wrong with
// its value in an address.
func valueError(name string, o *Option, err error) error {
	if o.Kind == KindDuration {
		return fmt.Errorf("option %s: %w (in an address: whole milliseconds, without a unit)", name, err)
	}
	return fmt.Errorf("option %s: %w", name, err)
}

// spelling gives the names of options as the user wrote them.
type spelling func(name string) string

func configSpelling(name string) string { return name }

func addressSpelling(name string) string {
	if o := lookupConfig(name); o != nil {
		return nameIn(o)
	}
	return name
}

// Quote returns a text of the user's as errors show it: shortened, and without the
// password that an address may hold by mistake.
func Quote(s string) string {
	const most = 120
	if at := strings.LastIndexByte(s, '@'); at >= 0 && !strings.HasPrefix(s, "unix") {
		scheme, _, ok := strings.Cut(s[:at], "://")
		if ok {
			scheme += "://"
		} else {
			scheme = ""
		}
		s = scheme + "***" + s[at:]
	}
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
