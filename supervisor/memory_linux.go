// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// memoryOf is what a process has in memory, and the most that it ever had, in bytes; 0
// is not known.
func memoryOf(pid int) (now, peak int64) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			now = kibibytes(value)
		case "VmHWM":
			peak = kibibytes(value)
		}
	}
	return now, peak
}

func kibibytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
	return n << 10
}

// peakOf is the most that an ended process ever had in memory, in bytes; 0 is not known.
// The system counts to a process what the one that started it had, so that a figure
// which is no larger than that says nothing.
func peakOf(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	var own syscall.Rusage
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || usage.Maxrss <= own.Maxrss {
		return 0
	}
	return usage.Maxrss << 10
}

// oomKills is how many processes of this one's group of processes the system has ended
// for lack of memory; of all, where it counts no groups. ok is false where it does not
// count.
func oomKills() (n int64, ok bool) {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch controllers {
		case "memory":
			n, ok = counted("/sys/fs/cgroup/memory"+path+"/memory.oom_control", "/sys/fs/cgroup/memory/memory.oom_control")
		case "":
			n, ok = counted("/sys/fs/cgroup"+path+"/memory.events", "/sys/fs/cgroup/memory.events")
		}
		if ok {
			return n, true
		}
	}
	return counted("/proc/vmstat")
}

// counted is the value of oom_kill in the first of these files that has it.
func counted(files ...string) (n int64, ok bool) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(line, "oom_kill "); found {
				n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
				return n, err == nil
			}
		}
	}
	return 0, false
}
