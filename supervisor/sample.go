// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"sync"
	"time"
)

// sampleEvery is how often a process is looked at, however often it beats.
const sampleEvery = time.Second

// sample is what was seen last of a process's memory, for when it is dead.
type sample struct {
	mu        sync.Mutex
	now, peak int64 // by mu, in bytes
	ooms      int64 // by mu: processes that the system had ended for lack of memory
	counts    bool  // by mu: it counts them

	next time.Time // of the goroutine that takes them
}

// take looks at a process that lives.
func (s *sample) take(pid int) {
	at := time.Now()
	if at.Before(s.next) {
		return
	}
	s.next = at.Add(sampleEvery)
	if now, peak := memoryOf(pid); now > 0 { // one that has just died has none
		s.mu.Lock()
		s.now, s.peak = now, peak
		s.mu.Unlock()
	}
	s.count()
}

// count notes how many processes were ended for lack of memory.
func (s *sample) count() {
	ooms, counts := oomKills()
	s.mu.Lock()
	s.ooms, s.counts = ooms, counts
	s.mu.Unlock()
}

// end adds to an exit what was seen, and reports whether the process was ended
// for lack of memory, as far as the system says: it was killed, and the system has ended
// a process since this one was looked at.
func (p *process) end(exit *Exit) (oom bool) {
	s := &p.sample
	s.mu.Lock()
	defer s.mu.Unlock()
	exit.Memory, exit.PeakMemory = s.now, s.peak
	if state := p.cmd.ProcessState; state != nil {
		exit.PeakMemory = max(s.peak, peakOf(state))
	}
	if exit.Signal != "SIGKILL" || !s.counts {
		return false
	}
	ooms, _ := oomKills()
	return ooms > s.ooms
}
