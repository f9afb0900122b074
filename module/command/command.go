// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "broker",
		Usage: "<command>",
		Short: "Runs and controls the highly available load balancer",
		Long: `
Runs Caddy as a highly available load balancer, and controls a running one.

'broker run --ha' serves a configuration with two processes: a parent that holds
the listening sockets, and a child that serves the sites and is started again
when it dies. The other commands talk to a running broker's admin endpoint.
`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(runCommand(), statusCommand(), checkCommand(), lastExitCommand(), inDoubtCommand(), eventsCommand(), upgradeCommand(), versionCommand(), generationsCommand(), rollbackCommand(), serviceCommand())
			cmd.AddCommand(childCommands()...)
			cmd.AddCommand(poolCommands()...)
			beforeCommands(cmd)
			cmd.RunE = withArgs(groupOf(cmd))
		},
	})
}

// groupOf is what a command does that has others: it shows them, or says which one is
// meant.
func groupOf(cmd *cobra.Command) func(caddycmd.Flags, []string) (int, error) {
	return func(_ caddycmd.Flags, args []string) (int, error) {
		if len(args) == 0 {
			return caddy.ExitCodeSuccess, cmd.Help()
		}
		return caddy.ExitCodeFailedStartup, unknownCommand(cmd, args[0])
	}
}

// unknownCommand is the error of a command that cmd does not have.
func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			known = append(known, c.Name())
		}
	}
	return options.Unknown("command", name, known)
}
