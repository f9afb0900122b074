// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"slices"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
)

// completer proposes words for the command line: what the running broker has.
type completer = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

// complete proposes what list takes from the running broker.
func complete(list func(*overview.Overview) []string) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var o overview.Overview
		if err := getInto(caddycmd.Flags{FlagSet: cmd.Flags()}, "/broker/", &o); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words := slices.DeleteFunc(list(&o), func(word string) bool { return slices.Contains(args, word) })
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFirst proposes for the first argument alone.
func completeFirst(list func(*overview.Overview) []string) completer {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(list)(cmd, args, word)
	}
}

// completeBackend proposes pools and addresses, and after a pool its addresses.
func completeBackend(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return complete(func(o *overview.Overview) []string { return append(addresses(o), poolNames(o)...) })(cmd, args, word)
	case 1:
		return complete(func(o *overview.Overview) []string {
			o.Pools = slices.DeleteFunc(o.Pools, func(p report.PoolStatus) bool { return p.Name != args[0] })
			return addresses(o)
		})(cmd, args, word)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func poolNames(o *overview.Overview) (names []string) {
	for _, p := range o.Pools {
		names = append(names, p.Name)
	}
	return names
}

func addresses(o *overview.Overview) (uris []string) {
	for _, p := range o.Pools {
		for _, u := range p.Upstreams {
			if !slices.Contains(uris, u.URI) {
				uris = append(uris, u.URI)
			}
		}
	}
	return uris
}

func childNames(o *overview.Overview) (names []string) {
	for _, c := range o.Children {
		names = append(names, c.Name)
	}
	return names
}
