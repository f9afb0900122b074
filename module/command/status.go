// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [--address <interface>] [--json] [--watch]",
		Short: "Shows the children and pools of a running broker",
		Long: `
Shows the children and pools of a running broker as a table, as JSON, or redrawn
each second until interrupted.
`,
		Args: cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON")
	cmd.Flags().BoolP("watch", "w", false, "Redraw each second")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(cmdStatus)
	return cmd
}

func cmdStatus(fl caddycmd.Flags) (int, error) {
	show := func(w io.Writer) error {
		body, err := get(fl, "/broker/")
		if err != nil {
			return err
		}
		if fl.Bool("json") {
			_, err = w.Write(plain.JSON(body))
			return err
		}
		return writeStatus(w, body, time.Now())
	}
	if !fl.Bool("watch") {
		if err := show(os.Stdout); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	}
	for tick := time.NewTicker(time.Second); ; <-tick.C {
		var page strings.Builder
		if err := show(&page); err != nil {
			fmt.Fprintln(&page, plain.Text(err.Error(), maxError))
		}
		fmt.Print("\x1b[H\x1b[2J" + page.String()) // home, clear
	}
}

// get asks the running broker.
func get(fl caddycmd.Flags, path string) ([]byte, error) {
	return ask(fl, http.MethodGet, path, nil)
}

func ask(fl caddycmd.Flags, method, path string, body io.Reader) ([]byte, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return nil, fmt.Errorf("finding the admin endpoint: %w", err)
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, path, nil, body)
	if err != nil {
		return nil, plainError(address, err)
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxBody))
}

// plainError is what the broker itself said, where Caddy's client wraps it.
func plainError(address string, err error) error {
	text := err.Error()
	if i := strings.Index(text, `{"error":`); i >= 0 {
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal([]byte(strings.TrimSpace(text[i:])), &said) == nil && said.Error != "" {
			return errors.New(plain.Text(said.Error, maxError))
		}
	}
	if strings.Contains(text, "HTTP 404") {
		return fmt.Errorf("no broker at %s: a Caddy without this plugin answers there", address)
	}
	return fmt.Errorf("asking the broker at %s: is it running? %w", address, err)
}

// overview is the answer of GET /broker/.
type overview struct {
	Children []*supervisor.Status `json:"children"`
	Pools    json.RawMessage      `json:"pools"`
}

// writeStatus draws the tables.
func writeStatus(w io.Writer, body []byte, now time.Time) error {
	var o overview
	if err := json.Unmarshal(body, &o); err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "CHILD\tSTATE\tPID\tSINCE\tRESTARTS\tLAST EXIT")
	for _, c := range o.Children {
		pid := "-"
		if c.Pid != 0 {
			pid = fmt.Sprint(c.Pid)
		}
		state := cell(c.State)
		if c.NextStart != nil {
			state += ", next start in " + ago(c.NextStart.Sub(now))
		}
		if w := c.Waiting; w != nil {
			state += ", " + count(w.Changes, "change waits", "changes wait") + " for "
			if w.Processes > 0 {
				state += count(w.Processes, "process that finishes", "processes that finish")
			} else {
				state += "the one under way"
			}
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\n", c.Name, state, pid, ago(now.Sub(c.Since)), c.Restarts, cell(lastExit(c.LastExit, now)))
		for _, p := range c.Processes {
			if p.Pid != c.Pid {
				fmt.Fprintf(tw, "  └ process\t%s\t%d\t%s\t\t\n", p.State, p.Pid, ago(now.Sub(p.Started)))
			}
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return writePools(w, o.Pools, now)
}

// count is a number with the word for it.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func lastExit(e *supervisor.Exit, now time.Time) string {
	if e == nil {
		return "-"
	}
	text := how(e) + ", " + ago(now.Sub(e.At)) + " ago"
	if why := cmp.Or(e.Error, e.Fault); why != "" {
		text += ": " + why
	}
	if f := e.InFlight; f != nil && f.Requests > 0 {
		text += fmt.Sprintf("; cut %s, %d in doubt", count(f.Requests, "request", "requests"), f.InDoubt)
	}
	return text
}

// ago is a duration as an operator reads it.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}
