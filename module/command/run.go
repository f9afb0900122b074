// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/document"
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [--config <path> [--adapter <name>]] [--ha] [--standby <n>] [--ha-log <path>] [--watch] [--latest]",
		Short: "Starts the broker and blocks indefinitely",
		Long: `
Serves a configuration, exactly like 'caddy run', or with --ha as a parent and a
supervised child. The flags of 'caddy run' keep their meaning. A configuration with
the global option broker is supervised by both.

With --ha this is the same as 'caddy run --config F --adapter broker'; without
--config the Caddyfile in the current directory is used.
`,
	}
	stock := stockCommand("run")
	stock.CobraFunc(cmd)
	cmd.Flags().BoolP("ha", "", false, "Serve from a supervised child process that is restarted after a crash")
	cmd.Flags().IntP("standby", "", 0, "Spare child processes, loaded and warm (with --ha)")
	cmd.Flags().StringP("ha-log", "", broker.DefaultHALog, "File that records the life of the child; off disables it (with --ha)")
	cmd.Flags().BoolP("latest", "", false, "Start what the file says even if it was refused or rolled back before (with --ha)")
	cmd.Flags().BoolP("child", "", false, "")
	_ = cmd.Flags().MarkHidden("child")
	_ = cmd.Flags().MarkHidden("pingback")
	serve := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if serves, _ := cmd.Flags().GetBool("child"); serves {
			return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return child.Run() })(cmd, args)
		}
		if newest, _ := cmd.Flags().GetBool("latest"); newest {
			broker.Latest()
		}
		if err := prepareRun(cmd); err != nil {
			return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) {
				return caddy.ExitCodeFailedStartup, err
			})(cmd, args)
		}
		return serve(cmd, args)
	}
	return cmd
}

// prepareRun turns the flags of `broker run` into those of `run`.
func prepareRun(cmd *cobra.Command) error {
	flags := cmd.Flags()
	if broker.TakesOver() {
		watchSource(flags)
		takeOver(flags)
		return nil
	}
	if ha, _ := flags.GetBool("ha"); !ha {
		for _, name := range []string{"standby", "ha-log", "latest"} {
			if flags.Changed(name) {
				return fmt.Errorf("--%s has no effect without --ha: there is no child then", name)
			}
		}
		lookAhead(cmd)
		return nil
	}
	if adapter, _ := flags.GetString("adapter"); adapter != "" && adapter != "caddyfile" && adapter != "broker" {
		return fmt.Errorf("--adapter %s: --ha reads a Caddyfile or a JSON configuration; use `caddy adapt --adapter %s` first", adapter, adapter)
	}
	resume, _ := flags.GetBool("resume")
	if config, _ := flags.GetString("config"); config == "" && !resume {
		if _, err := os.Stat("Caddyfile"); err != nil {
			return errors.New("no configuration: there is no Caddyfile in the current directory; use --config")
		}
		if err := flags.Set("config", "Caddyfile"); err != nil {
			return err
		}
	}
	if !resume {
		if err := flags.Set("adapter", broker.AdapterName); err != nil {
			return err
		}
	}
	o := new(broker.Overrides)
	if flags.Changed("standby") {
		n, _ := flags.GetInt("standby")
		o.Standby = &n
	}
	if flags.Changed("ha-log") {
		path, _ := flags.GetString("ha-log")
		o.HALog = &path
	}
	broker.Override(o)
	watchSource(flags)
	return nil
}

// watchSource watches the file instead of Caddy, whose own watcher ends at the first
// mistake in it.
func watchSource(flags *pflag.FlagSet) {
	watch, _ := flags.GetBool("watch")
	resume, _ := flags.GetBool("resume")
	if ha, _ := flags.GetBool("ha"); !ha || !watch || resume {
		return
	}
	setFlags(flags, map[string]string{"watch": "false"})
	file, _ := flags.GetString("config")
	if abs, err := filepath.Abs(cmp.Or(file, "Caddyfile")); err == nil {
		go watchFile(document.Source{File: abs, Adapter: broker.AdapterName})
	}
}

// stockCommand is one of Caddy's own.
func stockCommand(name string) caddycmd.Command {
	return caddycmd.Commands()[name]
}
