// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Of is what a process has of the machine's memory.
func Of(pid int) (u Usage) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Usage{}
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmRSS":
			u.Resident = kibibytes(value)
		case "VmHWM":
			u.Peak = kibibytes(value)
		case "RssAnon", "VmSwap":
			u.Own += kibibytes(value)
		case "SigPnd", "ShdPnd":
			pending, _ := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			u.Dying = u.Dying || pending&(1<<(syscall.SIGKILL-1)) != 0
		}
	}
	return u
}

func kibibytes(text string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
	return n << 10
}

// PeakOf is the most that an ended process ever had in memory, in bytes; 0 is not known.
// The system counts to a process what the one that started it had, so that a figure
// which is no larger than that says nothing.
func PeakOf(state *os.ProcessState) int64 {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	var own syscall.Rusage
	if !ok || syscall.Getrusage(syscall.RUSAGE_SELF, &own) != nil || usage.Maxrss <= own.Maxrss {
		return 0
	}
	return usage.Maxrss << 10
}

// Kills is where the system counts the processes of a group that it has ended for lack of
// memory.
type Kills struct{ file string }

// KillsOf is that of a process's group; of all processes, where the system counts no
// groups.
func KillsOf(pid int) Kills {
	groups, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	var files []string
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		switch controllers {
		case "memory":
			files = append(files, "/sys/fs/cgroup/memory"+path+"/memory.oom_control", "/sys/fs/cgroup/memory/memory.oom_control")
		case "":
			files = append(files, "/sys/fs/cgroup"+path+"/memory.events", "/sys/fs/cgroup/memory.events")
		}
	}
	return firstOf(append(files, "/proc/vmstat")...)
}

// firstOf is the first of these files that counts.
func firstOf(files ...string) Kills {
	for _, file := range files {
		if k := (Kills{file}); k.counts() {
			return k
		}
	}
	return Kills{}
}

func (k Kills) counts() bool {
	_, ok := k.Count()
	return ok
}

// Count is how many there were; ok is false where that is not known.
func (k Kills) Count() (n int64, ok bool) {
	text, err := os.ReadFile(k.file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "oom_kill "); found {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

const (
	// endFirstBy is how much sooner, in thousandths of all memory: so little that a
	// process which takes the machine's memory is still ended before.
	endFirstBy = 100
	// maxOOMScore is the highest that the system knows, and neverOOMScore is that of a
	// process that it never ends.
	maxOOMScore   = 1000
	neverOOMScore = -1000
)

// EndFirst makes the system, when it has no memory left, end a process that this one has
// started before it ends this one. If it is never to end this one, it ends the other like
// any program.
func EndFirst(pid int) error {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return fmt.Errorf("reading how soon the system ends this process: %w", err)
	}
	own, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return fmt.Errorf("reading how soon the system ends this process: %w", err)
	}
	score := strconv.Itoa(firstScore(own))
	if err := os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(score), 0); err != nil {
		return fmt.Errorf("having the system end process %d before this one: %w", pid, err)
	}
	return nil
}

// firstScore is the score of what is to be ended before a process that has own.
func firstScore(own int) int {
	if own == neverOOMScore {
		own = 0
	}
	return min(own+endFirstBy, maxOOMScore)
}
