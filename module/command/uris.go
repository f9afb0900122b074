// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// urisCommand adds and removes addresses of a pool.
func urisCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "uris <command>",
		Short: "Adds addresses to a pool, or removes some",
	}
	cmd.AddCommand(
		changeCommand("add", http.MethodPost, "Adds addresses to a pool: each gets requests when it has answered a ping"),
		changeCommand("remove", http.MethodDelete, "Removes addresses from a pool: requests in progress there finish"),
	)
	cmd.RunE = withArgs(groupOf(cmd))
	return cmd
}

func changeCommand(verb, method, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " [--pool <pool>] [--rebalance] <address>...", Short: short, Args: cobra.MinimumNArgs(1),
		Long: short + `.

It holds over reloads and restarts. The pool may be left out where there is only one
that can be meant.
`,
	}
	addressFlags(cmd)
	cmd.Flags().StringP("pool", "p", "", "The pool")
	cmd.Flags().BoolP("rebalance", "", false, "Spread the pool's clients anew")
	_ = cmd.RegisterFlagCompletionFunc("pool", complete(poolNames))
	if verb == "remove" {
		cmd.ValidArgsFunction = complete(addresses)
	}
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		p, was, err := changeURIs(fl, verb, method, args)
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		fmt.Print(wrapped("", 2, cell(changed(p, was))))
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

// changeURIs carries it out, and returns the pool as it is and as it was.
func changeURIs(fl caddycmd.Flags, verb, method string, args []string) (is, was report.PoolStatus, err error) {
	list, err := allPools(fl)
	if err != nil {
		return is, was, err
	}
	name := fl.String("pool")
	if name == "" {
		known := ""
		if verb == "remove" {
			known = args[0]
		}
		if name, err = poolOf(list, known); err != nil {
			return is, was, fmt.Errorf("%w (--pool)", err)
		}
	}
	for _, p := range list {
		if p.Name == name {
			was = p
		}
	}
	uris := make([]string, len(args))
	for i, text := range args {
		uris[i] = text
		if known := upstreamOf(was, text); known != nil { // written without its scheme
			uris[i] = known.URI
		}
	}
	request, err := json.Marshal(map[string]any{"uris": uris, "rebalance": fl.Bool("rebalance")})
	if err != nil {
		return is, was, err
	}
	body, err := ask(fl, method, poolPath(name)+"/uris", bytes.NewReader(request))
	if err == nil {
		err = read(body, &is)
	}
	return is, was, err
}

// changed says what became of a pool's addresses.
func changed(is, was report.PoolStatus) string {
	added, removed, left := 0, 0, int64(0)
	for _, u := range is.Upstreams {
		if old := upstreamOf(was, u.URI); old == nil || old.State == "removed" && u.State != "removed" {
			added++
		}
	}
	for _, u := range was.Upstreams {
		if now := upstreamOf(is, u.URI); u.State != "removed" && (now == nil || now.State == "removed") {
			removed++
			if now != nil {
				left += now.Requests
			}
		}
	}
	text := fmt.Sprintf("pool %s: ", is.Name)
	switch {
	case added > 0:
		text += count(added, "address", "addresses") + " added, to serve when a ping is answered"
	case removed > 0:
		text += count(removed, "address", "addresses") + " removed; " + count(int(left), "request", "requests") + " still in progress there"
	default:
		return text + "nothing has changed"
	}
	return text
}
