// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/module/internal/winservice"
)

// serviceTime bounds how long a service may take to start or to stop.
const serviceTime = 2 * time.Minute

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service <command>",
		Short: "Makes the broker a service of Windows",
		Long: `
Registers this program as a service of Windows that supervises a configuration, and
starts, stops and removes that service. Run it as an administrator. On other systems it
is an error that names what they have instead, such as the systemd unit.
`,
	}
	for _, c := range []struct {
		verb, short string
		do          func(context.Context, winservice.Manager, caddycmd.Flags) (string, error)
	}{
		{"install", "Registers the service, which starts with the machine", installService},
		{"uninstall", "Removes the registration of the service, which has to be stopped", uninstallService},
		{"start", "Starts the service, and returns when its sites are served", startService},
		{"stop", "Stops the service in order, and returns when it has ended", stopService},
	} {
		sub := &cobra.Command{Use: c.verb + " [--name <name>]", Short: c.short, Args: cobra.NoArgs}
		sub.Flags().StringP("name", "n", winservice.DefaultName, "The name of the service")
		if c.verb == "install" {
			sub.Use += " [--config <path>]"
			sub.Flags().StringP("config", "c", "", "The configuration; without it, the Caddyfile in this directory")
		}
		sub.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
			text, err := onService(fl, c.do)
			if err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			fmt.Println(text)
			return caddy.ExitCodeSuccess, nil
		})
		cmd.AddCommand(sub)
	}
	cmd.RunE = withArgs(groupOf(cmd))
	return cmd
}

// onService does something to a service and returns what it has led to.
func onService(fl caddycmd.Flags, do func(context.Context, winservice.Manager, caddycmd.Flags) (string, error)) (string, error) {
	if err := winservice.CheckName(fl.String("name")); err != nil {
		return "", err
	}
	m, err := winservice.Open()
	if err != nil {
		return "", err
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(context.Background(), serviceTime)
	defer cancel()
	return do(ctx, m, fl)
}

func installService(_ context.Context, m winservice.Manager, fl caddycmd.Flags) (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("installing service %s: %w", fl.String("name"), err)
	}
	s, err := winservice.Plan(fl.String("name"), program, fl.String("config"))
	if err != nil {
		return "", err
	}
	if err := m.Create(s); err != nil {
		return "", fmt.Errorf("installing service %s: %w", s.Name, err)
	}
	return "service " + s.Name + " installed; start it with `caddy broker service start`", nil
}

func uninstallService(_ context.Context, m winservice.Manager, fl caddycmd.Flags) (string, error) {
	return "service " + fl.String("name") + " removed", winservice.Uninstall(m, fl.String("name"))
}

func startService(ctx context.Context, m winservice.Manager, fl caddycmd.Flags) (string, error) {
	return "service " + fl.String("name") + " runs", winservice.Start(ctx, m, fl.String("name"))
}

func stopService(ctx context.Context, m winservice.Manager, fl caddycmd.Flags) (string, error) {
	return "service " + fl.String("name") + " stopped", winservice.Stop(ctx, m, fl.String("name"))
}
