// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc/PID/stat; Linux has no other on the systems Go knows.
const tick = 10 * time.Millisecond

// childrenOf are the ids of a process's children that still run.
func childrenOf(pid int) ([]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", task, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// CPU is the processor time that the processes have used so far. One that has
// ended counts nothing.
func CPU(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		used, err := cpuOf(stat)
		if err != nil {
			return 0, fmt.Errorf("reading /proc/%d/stat: %w", pid, err)
		}
		sum += used
	}
	return sum, nil
}

// cpuOf adds utime and stime, the 14th and 15th field. The second one is a name
// in parentheses that may hold anything.
func cpuOf(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("only %d fields", len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// Memory is what a process keeps in memory, in bytes.
type Memory struct {
	// Anonymous is its own: heap and stacks, not its program.
	Anonymous int64
	// Proportional counts pages shared with other processes by their share.
	Proportional int64
}

// MemoryOf reads the memory of a process.
func MemoryOf(pid int) (Memory, error) {
	var m Memory
	for _, f := range []struct {
		file, field string
		value       *int64
	}{{"status", "RssAnon:", &m.Anonymous}, {"smaps_rollup", "Pss:", &m.Proportional}} {
		path := fmt.Sprintf("/proc/%d/%s", pid, f.file)
		text, err := os.ReadFile(path)
		if err != nil {
			return m, err
		}
		if *f.value, err = kilobytes(string(text), f.field); err != nil {
			return m, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return m, nil
}

func kilobytes(text, field string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, field); found {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return n * 1024, err
		}
	}
	return 0, fmt.Errorf("no field %s", field)
}

// Descriptors is how many files and sockets a process has open.
func Descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}
