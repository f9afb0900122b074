// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/broker"
)

const (
	// checkLimit is how long a check waits for an answer, by default. A broker that is there
	// answers at once. Its admin endpoint may be away for a second or two, while a reload
	// or an upgrade opens it anew, which is no end of the broker.
	checkLimit = 3 * time.Second
	// checkAgain is how soon it asks again where nothing answers.
	checkAgain = 50 * time.Millisecond
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [--pool <pool>] [--timeout <duration>]",
		Short: "Reports by its exit code whether a running broker serves",
		Long: `
Exits with 0 if the broker serves, 1 if it does not, 2 if no broker answers in time: for
keepalived, containers and scripts. A broker that is there answers at once; where nothing
answers it is asked again for as long as --timeout says, because a reload or an upgrade
may open the administration endpoint anew.

With --pool it serves if that pool has a backend that takes requests. It does not ask
whether everything is all right: 'status' does.
`,
		Args: cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.Flags().StringP("pool", "p", "", "The pool that has to serve")
	cmd.Flags().DurationP("timeout", "", checkLimit, "How long to wait for the broker's answer")
	_ = cmd.RegisterFlagCompletionFunc("pool", complete(poolNames))
	cmd.RunE = withArgs(cmdCheck)
	return cmd
}

func cmdCheck(fl caddycmd.Flags, _ []string) (int, error) {
	path := "/broker/check"
	if pool := fl.String("pool"); pool != "" {
		path += "?" + url.Values{"pool": {pool}}.Encode()
	}
	err := askWithin(fl.Duration("timeout"), func() error {
		_, err := get(fl, path)
		return err
	})
	if said, ok := errors.AsType[refusal](err); ok {
		fmt.Println("does not serve:", plain.Line(said.text, maxError))
		return exitNo, errNo
	}
	if err != nil {
		return exitNoBroker, err
	}
	fmt.Println("serves")
	return exitYes, nil
}

// askWithin asks until there is an answer, whatever it is, or the time is over.
func askWithin(limit time.Duration, ask func() error) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	err := fmt.Errorf("the broker did not answer within %s", limit)
	for {
		answered := make(chan error, 1)
		go func() { answered <- ask() }()
		select {
		case <-over.C:
			return err
		case err = <-answered:
		}
		if _, away := errors.AsType[unreachable](err); !away {
			return err
		}
		again := time.NewTimer(checkAgain)
		select {
		case <-over.C:
			again.Stop()
			return err
		case <-again.C:
		}
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the version of this plugin, and of the Caddy that it is part of",
		Args:  cobra.NoArgs,
		RunE: withArgs(func(caddycmd.Flags, []string) (int, error) {
			fmt.Println(broker.Program().Version)
			return caddy.ExitCodeSuccess, nil
		}),
	}
}
