// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// poolCommands are the operations on pools, named as in the admin API.
func poolCommands() []*cobra.Command {
	list := &cobra.Command{
		Use:   "pools [<pool>] [--json]",
		Short: "Shows the pools of a running broker",
		Args:  cobra.MaximumNArgs(1),
	}
	addressFlags(list)
	list.Flags().BoolP("json", "", false, "Print JSON")
	list.RunE = withArgs(cmdPools)

	move := poolCommand("failover", "<pool> [--to <uri>]", "Moves a pool's clients to another backend until failback")
	move.Flags().StringP("to", "", "", "The backend to move to; the next in order if not given")
	return []*cobra.Command{
		list, move,
		poolCommand("failback", "<pool>", "Ends a failover made by hand"),
		drainCommand("drain", "Gives a backend no new requests"),
		drainCommand("resume", "Ends the drain of a backend"),
	}
}

func poolCommand(verb, use, short string) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " " + use, Short: short, Args: cobra.ExactArgs(1)}
	addressFlags(cmd)
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		query := url.Values{}
		if verb == "failover" && fl.String("to") != "" {
			query.Set("to", fl.String("to"))
		}
		return operatePool(fl, args[0], verb, query)
	})
	return cmd
}

// drainCommand is drain or resume, of a backend in one pool or in all that have it.
func drainCommand(verb, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb + " [<pool>] <uri>", Short: short, Args: cobra.RangeArgs(1, 2),
		Long: short + `.

It holds in every pool that has the backend, over reloads and restarts. Only for a
pool that the configuration names (option pool) it can be said alone.
`,
	}
	addressFlags(cmd)
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		if len(args) == 2 {
			return operatePool(fl, args[0], verb, url.Values{"uri": {args[1]}})
		}
		body, err := ask(fl, http.MethodPost, "/broker/"+verb+"?"+url.Values{"uri": {args[0]}}.Encode(), nil)
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, writePools(os.Stdout, body, time.Now())
	})
	return cmd
}

// operatePool carries out an operation on a pool and shows what it led to.
func operatePool(fl caddycmd.Flags, pool, verb string, query url.Values) (int, error) {
	path := "/broker/pools/" + url.PathEscape(pool) + "/" + verb + "?" + query.Encode()
	body, err := ask(fl, http.MethodPost, path, nil)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, writePools(os.Stdout, onePool(body), time.Now())
}

// onePool is the answer about a pool as a list.
func onePool(body []byte) []byte { return slices.Concat([]byte{'['}, body, []byte{']'}) }

// withArgs runs f with the command's flags and arguments, its error shown as Caddy shows errors.
func withArgs(f func(caddycmd.Flags, []string) (int, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) { return f(fl, args) })(cmd, args)
	}
}

func cmdPools(fl caddycmd.Flags, args []string) (int, error) {
	path := "/broker/pools"
	if len(args) > 0 {
		path += "/" + url.PathEscape(args[0])
	}
	body, err := get(fl, path)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if fl.Bool("json") {
		_, err = os.Stdout.Write(plain.JSON(body))
		return caddy.ExitCodeSuccess, err
	}
	if len(args) > 0 {
		body = onePool(body)
	}
	return caddy.ExitCodeSuccess, writePools(os.Stdout, body, time.Now())
}

// writePools draws the table of pools.
func writePools(w io.Writer, body json.RawMessage, now time.Time) error {
	var list []report.PoolStatus
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	return drawPools(w, list, now)
}

func drawPools(w io.Writer, list []report.PoolStatus, now time.Time) error {
	for _, p := range list {
		state := cell(p.State)
		if p.NextAttempt != nil {
			state += ", next attempt in " + ago(p.NextAttempt.Sub(now))
		}
		if p.FailedPasses > 0 {
			state += fmt.Sprintf(", %d passes failed", p.FailedPasses)
		}
		fmt.Fprintf(w, "\nPOOL %s: %s, %d waiting\n", cell(p.Name), state, p.Waiting)
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		fmt.Fprintln(tw, "UPSTREAM\tSTATE\tSINCE\tREQUESTS\tNOTES")
		for _, u := range p.Upstreams {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\n", cell(u.URI), cell(u.State), ago(now.Sub(u.Since)), u.Requests, cell(notes(u, now)))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// notes are what is worth knowing of a backend besides.
func notes(u report.UpstreamStatus, now time.Time) string {
	text := ""
	add := func(s string) {
		if text != "" {
			text += ", "
		}
		text += s
	}
	if u.Priority {
		add("priority")
	}
	if u.Pushed {
		add("pushed")
	}
	if u.Manual {
		add("manual failover")
	}
	if u.Backup != "" {
		add("backup " + u.Backup)
	}
	if u.NextProbe != nil && u.State != "up" {
		add("next probe in " + ago(u.NextProbe.Sub(now)))
	}
	if u.LastError != "" && u.State != "up" {
		add(u.LastError)
	}
	return text
}
