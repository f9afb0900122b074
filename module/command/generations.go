// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/generations"
)

func generationsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "generations [<number>] [--json]",
		Short: "Shows which configurations have served, and what has changed",
		Long: `
Shows the last ten configurations that have served, the newest first: since when, who
has loaded them, and with a number what that one has changed. Secrets are not shown.
`,
		Args: cobra.MaximumNArgs(1),
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON")
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		body, err := get(fl, "/broker/generations")
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		if fl.Bool("json") {
			_, err = os.Stdout.Write(plain.JSON(body))
			return caddy.ExitCodeSuccess, err
		}
		var v generations.View
		if err := read(body, &v); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		if len(args) > 0 {
			err = drawDifference(os.Stdout, v, args[0])
		} else {
			err = drawGenerations(os.Stdout, v)
		}
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

func rollbackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback [<number>]",
		Short: "Lets an earlier configuration serve again",
		Long: `
Loads the configuration of an earlier generation again, the one before that which serves
if no number is given, as a reload does. The file is not changed: until it is, it is not
what runs, and the broker does not start it by itself either.
`,
		Args: cobra.MaximumNArgs(1),
	}
	addressFlags(cmd)
	cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) {
		query := url.Values{"by": {operator()}}
		if len(args) > 0 {
			query.Set("to", args[0])
		}
		body, err := ask(fl, http.MethodPost, "/broker/rollback?"+query.Encode(), nil)
		if err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		var done struct {
			Generation int `json:"generation"`
			From       int `json:"rolled_back"`
		}
		if err := read(body, &done); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		fmt.Printf("generation %d serves again instead of generation %d; the file on disk is not what runs\n", done.Generation, done.From)
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

// drawGenerations draws the list.
func drawGenerations(w io.Writer, v generations.View) error {
	var out strings.Builder
	for _, g := range v.Generations {
		text := fmt.Sprintf("%d  %s  %s  %s", g.Number, g.Since.Local().Format(time.DateTime), g.Digest, cell(g.By))
		if g.File != "" {
			text += " (" + cell(g.File) + ")"
		}
		if g.Serving {
			text += ", serves"
		}
		added, removed := changedLines(g.Difference)
		if added+removed > 0 {
			text += fmt.Sprintf("; +%d -%d lines", added, removed)
		}
		out.WriteString(wrapped("", 2, text))
	}
	for _, r := range v.Refused {
		out.WriteString(wrapped("", 2, fmt.Sprintf("refused  %s  %s  %s", r.At.Local().Format(time.DateTime), r.Digest, cell(r.Why))))
	}
	if len(v.Generations) == 0 {
		out.WriteString("no generation is known\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// changedLines counts the lines that a difference adds and removes.
func changedLines(difference string) (added, removed int) {
	for line := range strings.Lines(difference) {
		switch line[0] {
		case '+':
			added++
		case '-':
			removed++
		}
	}
	return added, removed
}

// drawDifference draws what one generation has changed.
func drawDifference(w io.Writer, v generations.View, number string) error {
	i := slices.IndexFunc(v.Generations, func(g generations.Shown) bool { return strconv.Itoa(g.Number) == number })
	if i < 0 {
		return fmt.Errorf("there is no generation %q: `caddy broker generations` lists them", number)
	}
	text := v.Generations[i].Difference
	if text == "" {
		text = "what was before it is not known\n"
	}
	_, err := io.WriteString(w, plain.Text(text, len(text)))
	return err
}
