// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/membership"
)

const (
	// membershipTick is how often a pool's sources are looked after. It is also
	// the time in which a list is read anew while no backend answers.
	membershipTick = time.Second
	// listPeriod is how often the list at update_uris_url is read otherwise, and
	// how often sources confirm what they said.
	listPeriod = 30 * time.Second
	// listSource is the source that update_uris_url names; others have the name
	// of a backend or are an agent and its service.
	listSource = "update_uris_url"
)

// follower keeps the addresses of one pool up to date from its sources: the
// list at update_uris_url, what backends announce and what an agent finds. It is
// the owner of what they said; sources only tell it.
//
// It runs in the process that serves, from the start of the pool to its end.
type follower struct {
	counts membershipCounts

	ways   atomic.Pointer[Backends] // of the configuration in effect
	kicks  chan struct{}
	words  chan word
	cancel context.CancelFunc
	work   sync.WaitGroup

	// Owned by the goroutine of run.
	said    *membership.Membership
	name    string
	pool    *failover.Pool
	current Backends // with whose options the state below was made
	list    listReader
	agent   browser
	asked   map[*failover.Member]*asking
	told    map[string]complaint // the last one about each source
	refused map[string]bool      // refused addresses that were told of
	checked time.Time            // when sources last confirmed
}

// word is what a source has to say.
type word struct {
	source  string
	kind    string // uris, same, rebalance, reconnect, found, or bad
	text    []byte
	found   []address.URI // with found
	trusted bool
	err     error // with bad

	from    *failover.Member // nil for the list and the agent
	where   string           // of the list; what the agent looks for
	version listVersion
}

// bind puts a configuration's options into effect.
func (s *follower) bind(f Backends) {
	s.ways.Store(&f)
	s.kick()
}

// start begins the work on a pool. It is called once or not at all.
func (s *follower) start(name string, pool *failover.Pool) {
	s.name, s.pool = name, pool
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.work.Add(1)
	go s.run(ctx)
}

// close ends all sources and waits for them.
func (s *follower) close() {
	if s.cancel != nil {
		s.cancel()
		s.work.Wait()
	}
}

// kick makes the sources be looked after at once: something happened in the pool.
func (s *follower) kick() {
	select {
	case s.kicks <- struct{}{}:
	default:
	}
}

// newFollower returns the follower of a pool that is yet to be made.
func newFollower() *follower {
	return &follower{
		kicks: make(chan struct{}, 1), words: make(chan word),
		asked: make(map[*failover.Member]*asking), told: make(map[string]complaint), refused: make(map[string]bool),
	}
}

func (s *follower) run(ctx context.Context) {
	defer s.work.Done()
	defer s.list.close()
	s.said, s.checked = s.pool.Said(), time.Now()
	tick := time.NewTicker(membershipTick)
	defer tick.Stop()
	for {
		s.look(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case w := <-s.words:
			s.take(w)
		case <-s.kicks:
		case <-tick.C:
		}
	}
}

// tell hands a word to the owner.
func (s *follower) tell(ctx context.Context, w word) {
	select {
	case s.words <- w:
	case <-ctx.Done():
	}
}

// look starts what is due.
func (s *follower) look(ctx context.Context, now time.Time) {
	ways := s.ways.Load()
	if ways == nil {
		return
	}
	f := *ways
	if f != s.current {
		s.current = f
		s.reconsider(f)
	}
	s.readList(ctx, f, now)
	s.browse(ctx, f, now)
	s.askBackends(ctx, f, now)
	if now.Sub(s.checked) < listPeriod {
		return
	}
	s.checked = now
	for m, a := range s.asked {
		if a.alive() {
			s.said.Confirm(m.Name, now)
		}
	}
	if gone := s.said.Forget(s.pool.Unanswering(), now); len(gone) > 0 {
		_ = s.update(f, false) // there are fewer than before
	}
}

// reconsider makes what sources said before fit a new configuration.
func (s *follower) reconsider(f Backends) {
	s.list.forget(f.Options().UpdateURIsURL)
	for _, a := range s.asked {
		a.cancel()
	}
	clear(s.asked)
	clear(s.told)
	clear(s.refused)
	if f.Options().UpdateURIsURL == "" {
		s.said.Drop(listSource)
	}
	for _, name := range s.said.Sources() {
		switch {
		case name == listSource && !isRemoteList(f.Options().UpdateURIsURL):
			continue
		case isAgent(name) && name == f.Options().Discovery:
		case isAgent(name):
			s.said.Drop(name)
			continue
		case name != listSource && !f.Options().UpdateURIsSupported:
			s.said.Drop(name)
			continue
		}
		s.said.Set(name, s.filter(f, name, s.said.List(name)), false, time.Now())
	}
	s.agent.forget(f.Options().Discovery, s.said.List(f.Options().Discovery), time.Now())
	if err := s.update(f, false); err != nil {
		f.Logger().Warn("addresses of sources ignored", zap.String("pool", s.name), zap.Error(err))
	}
}

// take obeys a word, as far as the options say so.
func (s *follower) take(w word) {
	f := s.current
	switch {
	case w.from != nil && s.asked[w.from] == nil, w.from == nil && w.where != s.list.where && w.where != s.agent.what:
		return // said to an earlier configuration, or by one that is gone
	case w.kind == "bad":
		s.complain(f, w.source, listIgnored, w.err)
	case w.kind == "same":
		s.content(w.source)
		s.said.Confirm(w.source, time.Now())
	case w.kind == "reconnect":
		if f.Options().ReconnectSupported {
			s.reconnect(f, w)
		}
	case w.from != nil && !f.Options().UpdateURIsSupported:
	case w.kind == "rebalance":
		s.pool.Rebalance()
	case w.kind == "uris":
		if s.takeList(f, w) && w.source == listSource {
			s.list.known = w.version
		}
	case w.kind == "found":
		s.takeFound(f, w)
	}
}

// takeList makes the addresses of a list members, and tells whether it was a good
// list.
func (s *follower) takeList(f Backends, w word) bool {
	now := time.Now()
	list, err := address.ParseList(w.text, f.Scheme())
	if err != nil {
		s.complain(f, w.source, listIgnored, err)
		return false
	}
	if !w.trusted {
		if list = s.filter(f, w.source, list); len(list) == 0 {
			s.counts.update(w.source, false)
			return true // an announcement takes nothing away by naming nothing
		}
	}
	if s.said.Same(w.source, list, w.trusted) {
		s.said.Confirm(w.source, now)
		s.counts.update(w.source, true)
		s.content(w.source)
		return true
	}
	before, trusted := s.said.List(w.source), s.said.Trusted(w.source)
	s.said.Set(w.source, list, w.trusted, now)
	err = failover.ErrTooMany
	if !s.said.Full() {
		err = s.update(f, w.source == listSource && f.Options().RebalanceUpdateURIs)
	}
	if err != nil {
		s.complain(f, w.source, listIgnored, err)
		s.said.Set(w.source, before, trusted, now)
		return false
	}
	s.counts.update(w.source, true)
	s.content(w.source)
	return true
}

// update makes the pool's members what the sources say.
func (s *follower) update(f Backends, rebalance bool) error {
	_, removed, err := s.pool.UpdateURIs(s.said, rebalance)
	if err != nil {
		return err
	}
	if removed > 0 {
		s.settle()
	}
	f.Prune(s.pool)
	return nil
}

// settle forgets what backends said that are no members any more.
func (s *follower) settle() {
	members := make(map[string]bool)
	for m := range s.pool.All() {
		members[m.Name] = true
	}
	speaks := func(name string) bool { return members[name] || name == listSource || isAgent(name) }
	s.said.Settle(speaks)
	maps.DeleteFunc(s.told, func(name string, _ complaint) bool { return !speaks(name) })
}

// filter leaves out what the operator did not allow.
func (s *follower) filter(f Backends, source string, list []address.URI) []address.URI {
	allowed := make([]address.URI, 0, len(list))
	for _, u := range list {
		err := f.MayJoin(u)
		if err == nil {
			allowed = append(allowed, u)
			continue
		}
		key := source + " " + u.Key() + " " + err.Error()
		if s.refused[key] {
			continue
		}
		s.counts.refuse(err)
		if len(s.refused) < address.MaxListAddresses {
			s.refused[key] = true
			f.Logger().Warn("announced address refused", zap.String("pool", s.name),
				zap.String("source", source), zap.String("address", u.Name()), zap.Error(err))
		}
	}
	return allowed
}

// reconnect moves the clients of the backend that asks for it.
func (s *follower) reconnect(f Backends, w word) {
	text := strings.TrimSpace(string(w.text))
	list, err := address.ParseList([]byte(text), f.Scheme())
	if err == nil && len(list) != 1 {
		err = errors.New("one address is expected")
	}
	if err == nil {
		err = s.pool.Reconnect(w.from, list[0])
	}
	if err != nil {
		s.complain(f, w.source, "request to move clients ignored", err)
	}
}
