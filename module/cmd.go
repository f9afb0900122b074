// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
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
			cmd.AddCommand(runCommand(), statusCommand())
			cmd.AddCommand(childCommands()...)
			cmd.AddCommand(poolCommands()...)
		},
	})
}

// addressFlags are those of every command that talks to a running broker.
func addressFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("address", "", "", "Address of the administration endpoint, if not the default")
	cmd.Flags().StringP("config", "c", "", "Configuration file to take the address from")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply (when --config is used)")
}
