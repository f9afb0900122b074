// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// Gauges are what is measured of a child when it is asked for.
type Gauges struct {
	// StandbyWanted is how many spares the child is to have, and StandbyReady how many could
	// serve at once.
	StandbyWanted, StandbyReady int
	// InFlight is how many requests its processes have in progress; Counted says that this
	// is known of at least one.
	InFlight int
	Counted  bool
	// Memory is what the active process has of the machine's, in bytes, as seen within the
	// last seconds; 0 is not known.
	Memory int64
	// LastBeat is when the active process has last proved that it can answer; zero where it
	// never has.
	LastBeat time.Time
}

// Gauges reads them now.
func (s *Supervisor) Gauges() Gauges {
	st := s.status.Load()
	g := Gauges{StandbyWanted: st.standby}
	for i := range st.Processes {
		ps := &st.Processes[i]
		if ps.State == string(phaseStandby) {
			g.StandbyReady++
		}
		p := ps.process
		if p == nil {
			continue
		}
		if ps.State == string(phaseActive) {
			g.Memory, g.LastBeat = p.sample.memory(), ps.lastBeat
		}
		if p.page == nil {
			continue
		}
		if n, err := account.Count(p.page); err == nil { // it may have ended just now
			g.InFlight += n
			g.Counted = true
		}
	}
	return g
}

// memory is what was seen last.
func (s *sample) memory() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}
