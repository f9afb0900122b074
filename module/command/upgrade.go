// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

const (
	// upgradeTime bounds how long the new program may take to serve.
	upgradeTime  = 2 * time.Minute
	upgradeEvery = 100 * time.Millisecond
)

func upgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Lets a new program take the place of the running broker, without losing a request",
		Long: `
Tells a running broker to execute the program that is now where its own was: after a
package or a build has replaced the file. The process keeps its id, its sockets and its
children; the new program takes them over and then replaces the children by its own, as
a restart does. The configuration in effect stays, whatever the file says by now.

The new program is tried first: one that does not run, lacks this plugin, cannot read
what it is given or cannot load the configuration is refused, and nothing is touched.
Other programs that the broker runs are ended and started again; their sockets are held
meanwhile. SIGUSR2 does the same.
`,
		Args: cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("trial", "", false, "")
	_ = cmd.Flags().MarkHidden("trial")
	cmd.RunE = caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
		run := cmdUpgrade
		if fl.Bool("trial") {
			run = func(caddycmd.Flags) error { return broker.TryHandover() }
		}
		if err := run(fl); err != nil {
			return caddy.ExitCodeFailedStartup, err
		}
		return caddy.ExitCodeSuccess, nil
	})
	return cmd
}

func cmdUpgrade(fl caddycmd.Flags) error {
	before, err := programOf(fl)
	if err != nil {
		return err
	}
	begun := time.Now()
	if _, err := ask(fl, http.MethodPost, "/broker/upgrade", nil); err != nil {
		return err
	}
	limit := time.NewTimer(upgradeTime)
	defer limit.Stop()
	tick := time.NewTicker(upgradeEvery)
	defer tick.Stop()
	for {
		now, err := programOf(fl) // between the programs nothing answers
		switch {
		case err != nil:
		case now.Failed != nil && (before.Failed == nil || now.Failed.At.After(before.Failed.At)):
			return errors.New(now.Failed.Error)
		case now.Since != nil && (before.Since == nil || now.Since.After(*before.Since)) && now.Serving:
			fmt.Printf("upgraded in %s\n  from  %s\n  to    %s\n", time.Since(begun).Round(time.Millisecond), now.From, now.Version)
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.C:
			if err == nil {
				err = errors.New("it has taken over, and does not serve yet")
			}
			return fmt.Errorf("the new program does not serve within %s: %w", upgradeTime, err)
		}
	}
}

func programOf(fl caddycmd.Flags) (u broker.Upgraded, err error) {
	body, err := ask(fl, http.MethodGet, "/broker/upgrade", nil)
	if err == nil {
		err = json.Unmarshal(body, &u)
	}
	return u, err
}
