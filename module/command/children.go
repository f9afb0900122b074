// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// childCommands are the operations on children, named as in the admin API.
func childCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, c := range []struct{ verb, short string }{
		{"start", "Starts a stopped child"},
		{"stop", "Stops a child"},
		{"restart", "Replaces a child's process by a new one, without losing a request"},
		{"reload", "Reads the configuration file again and replaces what changed"},
		{"promote", "Swaps a child's active process for a standby"},
	} {
		cmd := &cobra.Command{
			Use:   c.verb + " [<child>]",
			Short: c.short,
			Args:  cobra.MaximumNArgs(1),

			ValidArgsFunction: completeFirst(childNames),
		}
		addressFlags(cmd)
		if c.verb == "stop" {
			cmd.Flags().StringP("mode", "", string(control.Immediate),
				"immediate: requests in progress finish; force: everything is cut. An immediate stop under way can be turned into force")
			_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions([]string{string(control.Immediate), string(control.Force)}, cobra.ShellCompDirectiveNoFileComp))
		}
		cmd.RunE = withArgs(func(fl caddycmd.Flags, args []string) (int, error) { return cmdChild(fl, c.verb, args) })
		out = append(out, cmd)
	}
	return out
}

func cmdChild(fl caddycmd.Flags, verb string, args []string) (int, error) {
	name := broker.DefaultChild
	if len(args) > 0 {
		name = args[0]
	}
	path := "/broker/children/" + url.PathEscape(name) + "/" + verb
	if verb == "stop" {
		path += "?mode=" + url.QueryEscape(fl.String("mode"))
	}
	address, err := adminAddress(fl)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	if verb == "reload" {
		sayRolledBack(address)
	}
	body, err := askAt(address, http.MethodPost, path, nil)
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	var st supervisor.Status
	if err := read(body, &st); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	fmt.Print(wrapped("", 2, cell(done(verb, &st))))
	return caddy.ExitCodeSuccess, nil
}

// sayRolledBack says that what was loaded last is not what runs, if the broker at an
// address knows of such: who loads the same again has to hear of it. What is wrong with the
// address, the command that follows says.
func sayRolledBack(address string) {
	var o overview.Overview
	if body, err := askAt(address, http.MethodGet, "/broker/", nil); err == nil && read(body, &o) == nil && o.Reload != nil && o.Reload.RolledBack != "" {
		fmt.Fprint(os.Stderr, wrapped("", 2, cell("what was loaded last is not what runs: "+o.Reload.RolledBack)))
	}
}

// done says what an operation on a child has led to.
func done(verb string, st *supervisor.Status) string {
	text := verb + " " + st.Name + ": done, "
	if verb == "stop" {
		return text + "it is " + st.State
	}
	text += fmt.Sprintf("process %s is %s", pid(st.Pid), st.State)
	n := 0
	for _, p := range st.Processes {
		if p.State == "draining" || p.State == "stopping" {
			n++
		}
	}
	if n > 0 {
		text += "; " + count(n, "older process finishes", "older processes finish") + " requests in progress"
	}
	return text
}
