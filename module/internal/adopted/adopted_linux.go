// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package adopted

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// every is how often it looks. A process that this one has started is waited for at once,
// so no one waits for what has been dead at two looks.
const every = 5 * time.Second

func init() {
	if os.Getpid() == 1 {
		go reap() // until the process ends
	}
}

func reap() {
	before := map[int]string{}
	for range time.Tick(every) {
		now := deadChildren()
		for pid, started := range now {
			if before[pid] == started {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
		before = now
	}
}

// deadChildren are the processes that wait to be reaped by this one, with the time at
// which each was started, since ids are used again.
func deadChildren() map[int]string {
	dead := map[int]string{}
	self := strconv.Itoa(os.Getpid())
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it is gone
		}
		// The command's name, in parentheses, may contain anything; state and parent come
		// first after it, the time of the start is the 20th.
		after := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(after) > 19 && after[0] == "Z" && after[1] == self {
			dead[pid] = after[19]
		}
	}
	return dead
}
