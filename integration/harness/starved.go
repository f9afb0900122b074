// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

// sampleEvery is how often processes are looked at.
const sampleEvery = 20 * time.Millisecond

// Starved follows for how long processes were ready to run and got no processor. On a
// busy machine a latency has that in it, which says nothing about them.
type Starved struct {
	stop, done chan struct{}

	mu   sync.Mutex
	pids []int // by mu

	threads map[string]time.Duration // what each has waited, by its file
	samples []starvedSample          // the total, which only grows
}

type starvedSample struct {
	at    time.Time
	total time.Duration
}

// WatchStarved begins to follow this process and others. Stop ends it.
func WatchStarved(pids ...int) *Starved {
	s := &Starved{stop: make(chan struct{}), done: make(chan struct{}), threads: make(map[string]time.Duration), pids: append(pids, os.Getpid())}
	s.sample()
	s.samples = []starvedSample{{at: time.Now()}} // what was before does not count
	go func() {
		defer close(s.done)
		defer s.sample()
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				s.sample()
			}
		}
	}()
	return s
}

// Follow follows one more process, from its start.
func (s *Starved) Follow(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pids = append(s.pids, pid)
}

func (s *Starved) sample() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var total time.Duration
	if n := len(s.samples); n > 0 {
		total = s.samples[n-1].total
	}
	for _, pid := range s.pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has ended
			}
			var ran, waited int64
			if _, err := fmt.Sscan(string(text), &ran, &waited); err != nil {
				continue // the kernel does not say it
			}
			total += max(0, time.Duration(waited)-s.threads[file])
			s.threads[file] = time.Duration(waited)
		}
	}
	s.samples = append(s.samples, starvedSample{time.Now(), total})
}

// Stop ends the watch and returns the total.
func (s *Starved) Stop() time.Duration {
	close(s.stop)
	<-s.done
	return s.samples[len(s.samples)-1].total
}

// at is the total at the first look that was not before t.
func (s *Starved) at(t time.Time) time.Duration {
	n := sort.Search(len(s.samples), func(i int) bool { return !s.samples[i].at.Before(t) })
	return s.samples[min(n, len(s.samples)-1)].total
}

// Without are results as if each had ended earlier by what was waited for a processor
// meanwhile. The watch must have stopped.
func (s *Starved) Without(rs Results) Results {
	fed := make(Results, len(rs))
	for i, r := range rs {
		other := *r
		other.End = other.End.Add(-min(r.Latency(), s.at(r.End)-s.at(r.Due)))
		fed[i] = &other
	}
	return fed
}
