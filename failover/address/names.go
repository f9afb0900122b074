// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"strings"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

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
// an unknown one names the nearest, and all that are allowed: besides options of
// the scope, the names in besides.
func LookupOption(scope Scope, name string, besides ...string) (Option, error) {
	if o := table.Lookup(name); o != nil && o.Scope == scope {
		return *o, nil
	}
	known := append(configNames(scope), besides...)
	hint := options.DidYouMean(options.Nearest(name, known))
	o := similar(name)
	if o == nil && hint == "" {
		o = table.Lookup(options.Nearest(name, table.Names()))
	}
	if o != nil && o.Scope != scope {
		hint = elsewhere(o, o.Name, "the block nested { }", "the block address HOST:PORT { }")
	} else if o != nil {
		hint = options.DidYouMean(o.Name)
	} else if foreign := foreignOption(name); foreign != "" {
		hint = foreign
	}
	return Option{}, fmt.Errorf("unknown option %s: %s%s", Quote(name), hint, options.Allowed(known))
}

func unknownAddressOption(scope Scope, name string) error {
	bare, nested := strings.CutPrefix(name, "nested.")
	known := addressNames(scope)
	hint := options.DidYouMean(options.Nearest(name, known))
	switch o := similar(bare); {
	case o != nil && o.Scope != scope && len(o.Address) > 0:
		hint = elsewhere(o, o.Address[0], "nested."+o.Address[0], "the query of the address")
	case o != nil && len(o.Address) == 0:
		hint = "an address cannot give " + o.Name + ", set it in the block of lb_policy failover; "
	case o != nil && nested:
		hint = options.DidYouMean("nested." + o.Address[0])
	case o != nil:
		hint = options.DidYouMean(o.Address[0])
	default:
		if foreign := foreignOption(bare); foreign != "" {
			hint = foreign
		}
	}
	return fmt.Errorf("unknown option %s: %s%s", Quote(name), hint, options.Allowed(known))
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
	want := options.Fold(strings.TrimPrefix(name, "amp;"))
	for i := range table {
		o := &table[i]
		if options.Fold(o.Name) == want {
			return o
		}
		for _, n := range o.Address {
			if options.Fold(n) == want {
				return o
			}
		}
	}
	return nil
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

// spelling gives the names of options as the user wrote them.
type spelling func(name string) string

func configSpelling(name string) string { return name }

func addressSpelling(name string) string {
	if o := table.Lookup(name); o != nil {
		return nameIn(o)
	}
	return name
}

// Quote returns a text of the user's as errors show it: shortened, and without the
// password that an address may hold by mistake.
func Quote(s string) string { return options.Quote(s) }
