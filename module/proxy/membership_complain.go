// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"time"

	"go.uber.org/zap"
)

// complaint is what was wrong with a source, and when that was said.
type complaint struct {
	text string // empty when all is well since
	at   time.Time
}

// complainEvery is the shortest time between two complaints about one source.
const complainEvery = 10 * time.Second

const listIgnored = "list of addresses ignored"

// complain says, once until it changes, what is wrong with a source. Its last
// list stays.
func (s *follower) complain(f Backends, source, what string, err error) {
	last, now := s.told[source], time.Now()
	if last.text == err.Error() {
		return
	}
	s.counts.update(source, false)
	if now.Sub(last.at) < complainEvery {
		return
	}
	s.told[source] = complaint{err.Error(), now}
	if source == listSource {
		source = f.Options().UpdateURIsURL
	}
	f.Logger().Warn(what, zap.String("pool", s.name), zap.String("source", source), zap.Error(err))
}

// content notes that nothing is wrong with a source.
func (s *follower) content(source string) {
	if last, ok := s.told[source]; ok {
		s.told[source] = complaint{at: last.at}
	}
}
