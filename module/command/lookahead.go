// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/document"
)

// beforeCommands makes `caddy run`, and `caddy start`, which executes it, supervise a
// configuration that asks for that: as with `--adapter broker`. Caddy offers no way to
// say so in the configuration, so this is done between the reading of the flags and the
// command itself. So is what `caddy reload` has to say before it loads another one.
func beforeCommands(ours *cobra.Command) {
	cobra.OnInitialize(func() {
		root := ours.Root()
		cmd, _, err := root.Find(os.Args[1:])
		if err != nil || cmd.Parent() != root {
			return
		}
		switch cmd.Name() {
		case "run":
			lookAhead(cmd)
		case "reload":
			if address := adminOf(cmd.Flags()); address != "" {
				sayRolledBack(address)
			}
		}
	})
}

// lookAhead sets the adapter in the flags of a `run` if the configuration that they name
// asks for supervision. One that it cannot read is left to the command, which says why.
func lookAhead(cmd *cobra.Command) {
	flags := cmd.Flags()
	if broker.TakesOver() {
		takeOver(flags)
		return
	}
	file, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	if resume, _ := flags.GetBool("resume"); resume {
		found, err := renewAutosave(caddy.ConfigAutosavePath)
		if err != nil {
			caddy.Log().Named("broker").Warn("making the saved configuration of an earlier version one of this version", zap.Error(err))
		}
		if found {
			return // the flags do not count
		}
	}
	if file == "" && adapter == "" {
		file = "Caddyfile"
	}
	if file == "" || file == "-" || adapter != "" && adapter != "caddyfile" {
		return
	}
	if !readable(file) {
		return
	}
	text, err := os.ReadFile(file) //nolint:gosec // the file that the user names
	if err != nil {
		return
	}
	if adapter != "" || isCaddyfile(file) {
		caddyfile := caddyconfig.GetAdapter("caddyfile")
		if caddyfile == nil {
			return
		}
		if text, _, err = caddyfile.Adapt(text, map[string]any{"filename": file}); err != nil {
			return
		}
	}
	if !broker.Asks(text) {
		return
	}
	setFlags(flags, map[string]string{"config": file, "adapter": broker.AdapterName})
}

// readable reports whether a file may be read before the command reads it: what comes through
// a pipe is there once.
func readable(file string) bool {
	info, err := os.Stat(file) //nolint:gosec // the file that the user names
	return err == nil && info.Mode().IsRegular()
}

// adminOf is where the broker answers to which a `reload` sends a configuration; empty is not
// known. The command itself says what is wrong with its flags.
func adminOf(flags *pflag.FlagSet) string {
	if address, _ := flags.GetString("address"); address != "" {
		return address
	}
	file, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	if file == "" {
		file = "Caddyfile"
	}
	if adapter == "" && isCaddyfile(file) {
		adapter = "caddyfile"
	}
	if !readable(file) {
		return ""
	}
	d, err := broker.Read(document.Source{File: file, Adapter: adapter})
	if err != nil {
		return ""
	}
	return broker.AdminOf(d)
}

// takeOver makes a `run` go on with the configuration that the program before has handed
// over, which the adapter has. The file stays the one to watch and to load again.
func takeOver(flags *pflag.FlagSet) {
	file, _ := flags.GetString("config")
	if file == "" {
		file = "Caddyfile"
	}
	if f, err := os.Open(file); err != nil { //nolint:gosec // the file that the user names
		file = os.DevNull
	} else {
		_ = f.Close()
	}
	// The process that waited for the start has its answer.
	setFlags(flags, map[string]string{"config": file, "adapter": broker.AdapterName, "resume": "false", "pingback": ""})
}

func setFlags(flags *pflag.FlagSet, values map[string]string) {
	for name, value := range values {
		if err := flags.Set(name, value); err != nil {
			caddy.Log().Named("broker").Error("setting flag of caddy run", zap.String("flag", name), zap.Error(err))
		}
	}
}

// isCaddyfile reports whether Caddy takes a file for a Caddyfile though no adapter is named.
func isCaddyfile(file string) bool {
	base := strings.ToLower(filepath.Base(file))
	return filepath.Ext(base) != ".json" && (strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile"))
}

// renewAutosave makes the configuration that Caddy has saved, for --resume, one as this
// version writes it, and reports whether there is one. Caddy writes it anew with every load.
func renewAutosave(file string) (found bool, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return !os.IsNotExist(err), nil //nolint:nilerr // the command says it
	}
	renewed, err := broker.Renew(text)
	if err != nil || renewed == nil {
		return true, err
	}
	return true, broker.SaveConfig(file, renewed)
}
