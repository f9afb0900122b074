// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"

	"golang.org/x/sys/unix"
)

// await returns when the process has ended. It is not reaped yet: its id, and
// its group's, stay its own, so that no signal of ours can hit a stranger.
func (p *process) await() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
