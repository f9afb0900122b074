// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// Gauges are what is measured of a child when it is asked for.
type Gauges struct {
	// InFlight is how many requests its processes have in progress; Counted says that this
	// is known of at least one.
	InFlight int
	Counted  bool
	// Memory is what the active process has of the machine's, in bytes, as seen within the
	// last seconds; 0 is not known.
	Memory int64
}

// Gauges reads them now.
func (s *Supervisor) Gauges() Gauges {
	st := s.status.Load()
	var g Gauges
	for i := range st.Processes {
		ps := &st.Processes[i]
		p := ps.process
		if p == nil {
			continue
		}
		if ps.State == string(phaseActive) {
			g.Memory = p.sample.memory()
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
