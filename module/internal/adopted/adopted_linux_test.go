// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package adopted

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDeadChildren(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/bin/true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if started := deadChildren()[pid]; started == "" {
		t.Error("a dead child was not found")
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, found := deadChildren()[pid]; found {
		t.Error("a child that was waited for was found")
	}
}
