// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
)

func inDoubtCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "in-doubt [--json]",
		Short: "Shows the requests that may have been executed without an answer",
		Long: `
Shows the last 1,000 requests that may have been executed though no answer came, the
newest last: look them up by their id where they may have left a trace.
`,
		Args: cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON")
	cmd.RunE = withArgs(func(fl caddycmd.Flags, _ []string) (int, error) {
		body, err := get(fl, "/broker/in-doubt")
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		if fl.Bool("json") {
			_, err = os.Stdout.Write(plain.JSON(body))
			return caddy.ExitCodeSuccess, err
		}
		var list []indoubt.Record
		if err := read(body, &list); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, drawDoubts(os.Stdout, list)
	})
	return cmd
}

// drawDoubts draws the list in doubt.
func drawDoubts(w io.Writer, list []indoubt.Record) error {
	var out strings.Builder
	for _, d := range list {
		out.WriteString(wrapped("", 2, cell(fmt.Sprintf("%s  %s %s%s", d.Time.Local().Format(time.DateTime), d.Method, d.Host, d.Path))))
		where := "request id " + d.RequestID
		if d.RequestID == "" {
			where = "no request id"
		}
		if d.Backend != "" {
			where += ", sent to " + d.Backend
		}
		if d.Pool != "" {
			where += " of pool " + d.Pool
		}
		out.WriteString(wrapped("  ", 2, cell(where)))
		out.WriteString(wrapped("  ", 2, cell(d.Reason)))
	}
	if len(list) == 0 {
		out.WriteString("no request is in doubt\n")
	} else {
		out.WriteString(count(len(list), "request", "requests") + " in doubt\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}
