// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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

// groupLives reports whether a process of the group, its watcher apart, still runs and
// is not only to be reaped. Where /proc does not tell, one may. Once the process is reaped, the kernel
// itself knows at once when none is left: to go through /proc would keep a standby
// waiting. As long as there is one, the group's id is not given to others.
func (p *process) groupLives() bool { return groupLives(p.cmd.Process.Pid, p.watcher.id()) }

func groupLives(group, watcher int) bool {
	if errors.Is(unix.Kill(-group, 0), unix.ESRCH) {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		return true
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		// The command's name, in parentheses, may contain anything; state, parent and
		// group follow it.
		after := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(after) > 2 && after[2] == strconv.Itoa(group) && after[0] != "Z" && after[0] != "X" &&
			path != fmt.Sprintf("/proc/%d/stat", watcher) {
			return true
		}
	}
	return false
}
