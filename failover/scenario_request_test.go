// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

// requestOf is what the words of a line say of a request.
func requestOf(words []string) *Request {
	r := &Request{Safe: !slices.Contains(words, "unsafe"), Unread: slices.Contains(words, "body")}
	for _, word := range words {
		if who, ok := strings.CutPrefix(word, "client="); ok {
			r.Key, r.Keyed = affinity.KeyOf(who), true
			r.Client = uint32(r.Key)
		}
		if patience, ok := strings.CutPrefix(word, "patience="); ok {
			d, _ := time.ParseDuration(patience)
			r.Deadline = time.Now().Add(d)
		}
	}
	return r
}

// endless begins a request that is never answered.
func (s *scenario) endless(words []string) {
	s.goOn(requestOf(words))
	synctest.Wait()
}

// goOn sends such a request, also once more, as soon as there is a member for it.
func (s *scenario) goOn(r *Request) {
	s.ends.Go(func() {
		for {
			m, err := s.ask(s.t.Context(), r)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.noted(kindChoice, "endless on "+m.URI.Host)
			down := s.down[m.URI.Host]
			s.mu.Unlock()
			if down {
				r.at.End(report.DialFailed, errRefused)
				continue
			}
			r.at.Connected()
			r.at.Written()
			s.set(func() { s.stuck = append(s.stuck, r) })
			return
		}
	})
}
