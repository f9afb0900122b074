// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package still

import (
	"bytes"
	"maps"
	"os"
	"strconv"
	"time"
)

// looks is how often a process is looked at once it was given something.
const looks = 5

// Watch watches a process for some time, and returns earlier if it lives. Once it has begun
// to, wake gives the process something to read, and reports whether it has got that.
func Watch(pid int, over time.Duration, wake func() bool) Finding {
	first := threadsOf(pid)
	found := first.finding()
	if found == Lives || !wake() {
		return Lives
	}
	tick := time.NewTicker(over / looks)
	defer tick.Stop()
	for range looks {
		<-tick.C
		if !maps.Equal(threadsOf(pid), first) {
			return Lives
		}
	}
	return found
}

// thread is what the system says of a thread.
type thread struct {
	state byte   // as in proc(5)
	ran   string // how long it has had a processor; what else the system says there changes only when it gets one
}

// threads are those of a process by their ids.
type threads map[string]thread

// threadsOf are the threads of a process; none, where not all is known about them.
func threadsOf(pid int) threads {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	all := make(threads, len(tasks))
	for _, task := range tasks {
		stat, err := os.ReadFile(dir + "/" + task.Name() + "/stat")
		if err != nil {
			return nil
		}
		ran, err := os.ReadFile(dir + "/" + task.Name() + "/schedstat")
		if err != nil {
			return nil
		}
		end := bytes.LastIndexByte(stat, ')')                                   // of its name, which may have spaces and parentheses
		if end < 0 || len(stat) < end+3 || bytes.HasPrefix(ran, []byte("0 ")) { // which is what a system says that does not count
			return nil
		}
		all[task.Name()] = thread{stat[end+2], string(ran)}
	}
	return all
}

// finding is what it would be if the threads stayed as they are.
func (all threads) finding() Finding {
	found := Lives
	for _, t := range all {
		switch t.state {
		case 'S':
			found = max(found, Asleep)
		case 'T':
			found = Stopped
		default:
			return Lives
		}
	}
	return found
}
