// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// poolCommands are the operations on pools, named as in the admin API.
func poolCommands() []*cobra.Command {
	move := poolCommand("failover", "[<pool>] [--to <address>]", "Moves a pool's clients to another backend until failback")
	move.Flags().StringP("to", "", "", "The backend to move to; the next in order if not given")
	_ = move.RegisterFlagCompletionFunc("to", complete(addresses))
	return []*cobra.Command{
		poolsCommand(), move,
		poolCommand("failback", "[<pool>]", "Ends a failover made by hand"),
		poolCommand("rebalance", "[<pool>]", "Sends clients that were moved back to their own backends"),
		drainCommand("drain", "Gives a backend no new requests"),
		drainCommand("resume", "Ends the drain of a backend"),
		urisCommand(),
	}
}

func poolCommand(verb, use, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " " + use, Short: short, Args: cobra.MaximumNArgs(1),
		Long: short + `.

The pool may be left out where there is only one that can be meant.
`,
		ValidArgsFunction: completeFirst(poolNames),
	}
	addressFlags(cmd)
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		query, to := url.Values{}, ""
		if verb == "failover" && fl.String("to") != "" {
			to = fl.String("to")
			query.Set("to", to)
		}
		var pool string
		if len(args) > 0 {
			pool = args[0]
		} else {
			list, err := allPools(fl)
			if verb == "failback" {
				list = movedByHand(list)
			}
			if err == nil {
				pool, err = poolOf(list, to)
			}
			if err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
		}
		var p report.PoolStatus
		if err := operate(fl, poolPath(pool)+"/"+verb, query, &p); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		fmt.Print(wrapped("", 2, cell(moved(verb, p))))
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

// movedByHand are the pools whose clients an operator has moved; all if there are none.
func movedByHand(list []report.PoolStatus) []report.PoolStatus {
	byHand := slices.DeleteFunc(slices.Clone(list), func(p report.PoolStatus) bool {
		return !slices.ContainsFunc(p.Upstreams, func(u report.UpstreamStatus) bool { return u.Manual })
	})
	if len(byHand) == 0 {
		return list
	}
	return byHand
}

// moved says what became of a pool's clients.
func moved(verb string, p report.PoolStatus) string {
	text := "pool " + p.Name + ": "
	switch verb {
	case "failback":
		return text + "the failover by hand is over, new requests go to their own backends again"
	case "rebalance":
		return text + "clients that were moved go to their own backends again"
	}
	target, elsewhere := "another backend", int64(0)
	for _, u := range p.Upstreams {
		if u.Manual {
			target = u.URI
		} else {
			elsewhere += u.Requests
		}
	}
	return text + fmt.Sprintf("new requests go to %s until failback; %s elsewhere still in progress", target, count(int(elsewhere), "request", "requests"))
}

// drainCommand is drain or resume, of a backend in one pool or in all that have it.
func drainCommand(verb, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " [<pool>] <address>", Short: short, Args: cobra.RangeArgs(1, 2),
		Long: short + `.

It holds in every pool that has the backend, over reloads and restarts. Only for a
pool that the configuration names (option pool) it can be said alone.
`,
		ValidArgsFunction: completeBackend,
	}
	addressFlags(cmd)
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		uri := args[len(args)-1]
		query := url.Values{"uri": {uri}, "by": {operator()}}
		var list []report.PoolStatus
		var err error
		if len(args) == 2 {
			list = make([]report.PoolStatus, 1)
			err = operate(fl, poolPath(args[0])+"/"+verb, query, &list[0])
		} else {
			err = operate(fl, "/broker/"+verb, query, &list)
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		fmt.Print(drained(verb, uri, list))
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

// drained says what became of a backend in the pools that have it.
func drained(verb, uri string, list []report.PoolStatus) string {
	var out strings.Builder
	for _, p := range list {
		u := upstreamOf(p, uri)
		if u == nil {
			continue
		}
		text := fmt.Sprintf("pool %s: %s ", p.Name, u.URI)
		switch {
		case verb == "drain":
			text += "drained; " + count(int(u.Requests), "request", "requests") + " still in progress"
		case u.State == "drained":
			text += "is drained still: by a decision for this pool, or for every pool"
		default:
			text += "resumed; it is " + u.State
			if u.State != "up" {
				text += ", and serves when it answers a ping"
			}
		}
		out.WriteString(wrapped("", 2, cell(text)))
		if p.State == "all drained" {
			out.WriteString(wrapped("", 2, cell("pool "+p.Name+": every backend is drained now, requests get 503")))
		}
	}
	return out.String()
}

// operate carries out an operation, and reads what it led to into v.
func operate(fl caddycmd.Flags, path string, query url.Values, v any) error {
	body, err := ask(fl, http.MethodPost, path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return read(body, v)
}

// operator is the name of the user who runs the command, of the one behind sudo.
func operator() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
