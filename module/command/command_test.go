// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func TestUnknownCommand(t *testing.T) {
	cmd := new(cobra.Command)
	caddycmd.Commands()["broker"].CobraFunc(cmd)
	for name, want := range map[string]string{
		"statu":     "did you mean status? allowed are ",
		"fail-over": "did you mean failover? allowed are ",
		"bogus":     `unknown command "bogus": allowed are `,
	} {
		if err := unknownCommand(cmd, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", name, err, want)
		}
	}
}
