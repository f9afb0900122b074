// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/memory"
)

// sampleEvery is how often a process is looked at.
const sampleEvery = time.Second

// sample is what was seen last of a process's memory, for when it is dead.
type sample struct {
	mu     sync.Mutex
	usage  memory.Usage // by mu
	kills  memory.Kills // by mu: where the system counts whom it ends for lack of memory
	before int64        // by mu: what it had counted when the process was looked at before
	last   int64        // by mu: likewise when it was looked at last
}

// take looks at a process that lives, and returns what it has of its own.
func (s *sample) take(pid int) (own int64) {
	kills := memory.KillsOf(pid)
	count, _ := kills.Count()
	usage := memory.Of(pid)
	if usage.Resident == 0 || usage.Dying {
		return 0 // what the system has counted may have been this one
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage = usage
	s.before, s.last = s.last, count
	if kills != s.kills { // it is in another group
		s.kills, s.before = kills, count
	}
	return usage.Own
}

// ready says that the process is, and what it has of its own by then.
func (p *process) ready() inReady { return inReady{p.id, p.sample.take(p.pid())} }

func (p *process) pid() int {
	if p.cmd == nil || p.cmd.Process == nil {
		return 0 // it is none
	}
	return p.cmd.Process.Pid
}

// sample looks at the memory and the answers of a process again and again until it is gone.
func (s *Supervisor) sample(p *process) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.gone:
			return
		case <-tick.C:
		}
		own := p.sample.take(p.pid())
		if own > 0 && s.status.Load().limited {
			s.put(inSample{p.id, own})
		}
		if p.page == nil {
			continue
		}
		if all, failed, err := account.Answered(p.page); err == nil && all > 0 { // it may have ended just now
			s.put(inAnswers{p.id, answers.Counts{All: all, Failed: failed}})
		}
	}
}

// begin notes how many processes were ended for lack of memory before this one was started.
func (s *sample) begin(pid int) {
	kills := memory.KillsOf(pid)
	count, _ := kills.Count()
	s.mu.Lock()
	s.kills, s.before, s.last = kills, count, count
	s.mu.Unlock()
}

// end adds to an exit what was seen, and reports whether the process was ended
// for lack of memory, as far as the system says: it was killed, and the system has ended
// a process since this one was looked at, the last time left out: the system counts a
// moment before it ends one.
func (p *process) end(exit *exits.Exit) (oom bool) {
	s := &p.sample
	s.mu.Lock()
	defer s.mu.Unlock()
	exit.Memory, exit.PeakMemory = s.usage.Resident, s.usage.Peak
	if state := p.cmd.ProcessState; state != nil {
		exit.PeakMemory = max(s.usage.Peak, memory.PeakOf(state))
	}
	count, ok := s.kills.Count()
	return ok && exit.Signal == "SIGKILL" && count > s.before
}

// left reads what the process, which is dead, had in progress, and gives its page back.
// It is the one place where that is read.
func (p *process) left() (*account.Account, error) {
	if p.page == nil {
		return nil, p.pageless
	}
	defer p.page.Close()
	return account.Read(p.page)
}
