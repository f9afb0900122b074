// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/parentlog"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

func lastExitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "last-exit [<child>] [--json]",
		Short: "Shows how the last process of a child ended, and what it had in progress",
		Long: `
Shows how the last process of a child ended: why, what it said, what the goroutine
was doing that died, and the requests that it had in progress. If that end was asked
for, the last one that was not follows.
`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeFirst(childNames),
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON")
	cmd.RunE = withArgs(cmdLastExit)
	return cmd
}

func cmdLastExit(fl caddycmd.Flags, args []string) (int, error) {
	name := broker.DefaultChild
	if len(args) > 0 {
		name = args[0]
	}
	body, err := get(fl, "/broker/children/"+url.PathEscape(name)+"/last-exit")
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if fl.Bool("json") {
		_, err = os.Stdout.Write(plain.JSON(body))
	} else {
		err = writeLastExit(os.Stdout, body, time.Now())
	}
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

// writeLastExit draws the answer of the admin API.
func writeLastExit(w io.Writer, body []byte, now time.Time) error {
	var answer broker.LastExit
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	if answer.Exit == nil {
		return fmt.Errorf("reading the broker's answer: it has no exit")
	}
	if err := writeExit(w, answer.Exit, now); err != nil || answer.LastFailure == nil {
		return err
	}
	fmt.Fprint(w, "\nThe last crash:\n\n")
	return writeExit(w, answer.LastFailure, now)
}

func writeExit(w io.Writer, e *exits.Exit, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, cell(fmt.Sprintf(format, args...)))
	}
	row("END", "%s", how(e))
	row("AT", "%s, %s ago", e.At.Local().Format(time.DateTime), ago(now.Sub(e.At)))
	if e.Error != "" {
		row("ERROR", "%s", e.Error)
	}
	switch {
	case e.Reason == "hang":
		row("DUMP", "it was made to write what its goroutines did; --json has it")
	case e.Fault != "":
		row("FAULT", "%s", e.Fault)
	}
	process := "none"
	if e.Pid != 0 {
		process = fmt.Sprint(e.Pid)
	}
	row("PROCESS", "%s, %s, generation %d, lived %s", process, e.Role, e.Generation, ago(time.Duration(e.Uptime*float64(time.Second))))
	switch {
	case e.Memory > 0:
		row("MEMORY", "%d MiB, at most %d MiB", e.Memory>>20, e.PeakMemory>>20)
	case e.PeakMemory > 0:
		row("MEMORY", "at most %d MiB", e.PeakMemory>>20)
	}
	writeInFlight(row, e.InFlight)
	if err := tw.Flush(); err != nil {
		return err
	}
	if e.Goroutine != "" {
		fmt.Fprintf(w, "\n%s\n", plain.Text(e.Goroutine, maxError))
	}
	if last := lastWords(e); last != "" {
		fmt.Fprintf(w, "\nIts last lines:\n%s\n", plain.Text(last, maxError))
	}
	return nil
}

// writeInFlight draws what was in progress.
func writeInFlight(row func(name, format string, args ...any), f *exits.InFlight) {
	switch {
	case f == nil:
		row("IN FLIGHT", "nothing")
		return
	case f.Requests == 0:
		row("IN FLIGHT", "not known: %s", f.Unknown)
		return
	}
	text := count(f.Requests, "request", "requests")
	if f.InDoubt > 0 {
		text += fmt.Sprintf(", %d of them in doubt", f.InDoubt)
	}
	if f.Unlisted > 0 {
		text += fmt.Sprintf(", %d not listed (%d of these may have been executed)", f.Unlisted, f.UnlistedUnsafe)
	}
	row("IN FLIGHT", "%s", text)
	for _, r := range f.Routes {
		text := fmt.Sprintf("%d × %s %s%s, oldest %s", r.Requests, r.Method, r.Host, r.Path, ago(time.Duration(r.Oldest*float64(time.Second))))
		if r.InDoubt > 0 {
			text += fmt.Sprintf(", %d in doubt", r.InDoubt)
		}
		row("", "%s", text)
	}
}

// lastWords are the last lines that a process wrote before it began to say why it dies,
// without those that say that all is as it should be.
func lastWords(e *exits.Exit) string {
	text := e.Stderr
	if e.Fault != "" {
		first, _, _ := strings.Cut(e.Fault, " [signal ")
		if i := strings.LastIndex("\n"+text, "\n"+first); i >= 0 {
			text = text[:i]
		}
	}
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return parentlog.Benign([]byte(line)) })
	return exits.LastWords(strings.Join(lines, "\n"), 10)
}

// how is how a process ended.
func how(e *exits.Exit) string {
	switch {
	case e.Reason == "hang":
		return "hang, ended by the broker"
	case e.Signal != "":
		return e.Reason + ", " + e.Signal
	}
	return fmt.Sprintf("%s, code %d", e.Reason, e.Code)
}
