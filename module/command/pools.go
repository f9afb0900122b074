// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/plain"
)

func poolsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "pools [<pool>] [--json]",
		Short:             "Shows the pools of a running broker",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFirst(poolNames),
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON")
	cmd.RunE = withArgs(cmdPools)
	return cmd
}

func cmdPools(fl caddycmd.Flags, args []string) (int, error) {
	path := "/broker/pools"
	if len(args) > 0 {
		path = poolPath(args[0])
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
	var list []report.PoolStatus
	if err := read(body, &list); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, drawPools(os.Stdout, list, "", time.Now())
}

// poolPath is where the admin API has a pool.
func poolPath(name string) string { return "/broker/pools/" + url.PathEscape(name) }

// onePool is the answer about a pool as a list.
func onePool(body []byte) []byte { return slices.Concat([]byte{'['}, body, []byte{']'}) }
