// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"
)

// What is about a child is an error where there is none.
func TestRunRefusesWhatNeedsAChild(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--standby=1", "--ha-log=off", "--latest"} {
		cmd := runCommand()
		if err := cmd.ParseFlags([]string{flag}); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(flag, "=")
		if err := prepareRun(cmd); err == nil || !strings.Contains(err.Error(), name+" has no effect without --ha") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}
