// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/mdns"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

const (
	// agentMDNS begins the option discovery, and with it the name of the source.
	agentMDNS = "mdns "
	// browsePeriod is how often instances of the service are looked for, and
	// browseAgain how often while no backend answers.
	browsePeriod = listPeriod
	browseAgain  = 5 * time.Second
	// browseTime is how long answers are awaited.
	browseTime = time.Second
	// browseKept is how long an instance that does not answer is kept while
	// others do: datagrams are lost.
	browseKept = 3*browsePeriod + browsePeriod/2
)

func isAgent(source string) bool { return strings.HasPrefix(source, agentMDNS) }

// browser looks for the instances of a service on the local network. It belongs
// to the owner.
type browser struct {
	what  string // option discovery
	last  time.Time
	next  time.Time
	done  *atomic.Bool         // the last browsing is over; nil before the first
	found map[string]time.Time // when an address that may join answered last
}

// forget makes the next look browse. What was found earlier, perhaps by another
// process, counts as found now.
func (b *browser) forget(what string, known []address.URI, now time.Time) {
	b.what, b.last, b.next = what, time.Time{}, time.Time{}
	b.found = make(map[string]time.Time)
	for _, u := range known {
		b.found[u.Dial()] = now
	}
}

// browse looks for instances when that is due. Nothing waits for it.
func (s *follower) browse(ctx context.Context, f Backends, now time.Time) {
	b := &s.agent
	if b.what == "" || b.done != nil && !b.done.Load() {
		return
	}
	if now.Before(b.next) && (s.pool.Online() || now.Sub(b.last) < browseAgain) {
		return
	}
	what, done := b.what, new(atomic.Bool)
	h := &heard{f: f, known: maps.Clone(b.found)}
	b.last, b.next, b.done = now, now.Add(browsePeriod), done
	logger := f.Logger().Named("mdns")
	s.work.Go(func() {
		w := word{source: what, where: what, kind: "found"}
		if err := browseMDNS(ctx, strings.TrimPrefix(what, agentMDNS), logger, h.add); err != nil {
			w.kind, w.err = "bad", err
		}
		w.found = append(h.good, h.bad...)
		done.Store(true)
		if w.err != nil || len(w.found) > 0 { // silence says nothing
			s.tell(ctx, w)
		}
	})
}

// heard are the addresses that answered one question. Anybody may answer, and as
// often as he likes: those that may not join take no room from others, and those
// that are new none from those that are known.
type heard struct {
	f         Backends
	known     map[string]time.Time
	seen      map[string]bool
	good, bad []address.URI // may join, and may not
}

// add notes the address HOST:PORT of an instance.
func (h *heard) add(addr string) {
	u, err := address.ParseDial(addr)
	if err != nil || h.seen[u.Dial()] {
		return
	}
	u.Scheme = h.f.Scheme()
	into := &h.good
	if h.f.MayJoin(u) != nil {
		into = &h.bad
	}
	if _, ok := h.known[u.Dial()]; !ok && len(*into) >= address.MaxListAddresses {
		return
	}
	if h.seen == nil {
		h.seen = make(map[string]bool)
	}
	h.seen[u.Dial()] = true
	*into = append(*into, u)
}

// takeFound makes what was found, lately or now, the list of the agent.
func (s *follower) takeFound(f Backends, w word) {
	good, now, b := s.filter(f, w.source, w.found), time.Now(), &s.agent
	if len(good) == 0 {
		s.counts.update(w.source, false)
		return // those who may not join say nothing of those who do not answer
	}
	b.see(good, now)
	w.text = []byte(strings.Join(slices.Sorted(maps.Keys(b.found)), "\n"))
	s.takeList(f, w)
}

// see notes who answered, and forgets who has not for too long. There is room for
// as many as a list has, and those that are known keep theirs.
func (b *browser) see(list []address.URI, now time.Time) {
	for _, u := range list {
		if _, ok := b.found[u.Dial()]; ok {
			b.found[u.Dial()] = now
		}
	}
	maps.DeleteFunc(b.found, func(_ string, last time.Time) bool { return now.Sub(last) > browseKept })
	for _, u := range list {
		if len(b.found) < address.MaxListAddresses {
			b.found[u.Dial()] = now
		}
	}
}

// browseMDNS asks all on the local network for instances of a service, and passes
// on the address of each answer. IPv4 and IPv6 are asked apart: the library gives
// up both when one of them has no route.
func browseMDNS(ctx context.Context, service string, logger *zap.Logger, add func(address string)) error {
	// The library speaks of each query and each packet that it cannot read.
	log, err := zap.NewStdLogAt(logger, zap.DebugLevel)
	if err != nil {
		return err
	}
	// The library drops entries that nobody takes at once, and goes on writing to
	// them: they are read when the queries are over.
	entries, failed := make(chan *mdns.ServiceEntry, address.MaxListAddresses), make(chan error, 2)
	for _, v4 := range []bool{true, false} {
		// When the context ends, the sockets are closed at once, and the query
		// returns after browseTime at the latest.
		go func() {
			failed <- mdns.QueryContext(ctx, &mdns.QueryParam{
				Service: service, Timeout: browseTime, Entries: entries, WantUnicastResponse: true,
				DisableIPv4: !v4, DisableIPv6: v4, Logger: log,
			})
		}()
	}
	var all []*mdns.ServiceEntry
	var errs []error
	for over := 0; over < cap(failed); {
		select {
		case e := <-entries:
			all = append(all, e)
		case err := <-failed:
			over++
			if err != nil {
				errs = append(errs, err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for len(entries) > 0 {
		all = append(all, <-entries)
	}
	for _, e := range all {
		if address := instanceAddress(e, service); address != "" {
			add(address)
		}
	}
	if len(errs) == cap(failed) {
		return errors.Join(errs...)
	}
	return nil
}

// instanceAddress is host and port of an instance; empty where it is one of
// another service: the library returns whatever it hears meanwhile. Names in
// .local are not resolved here, so the address counts, IPv4 before IPv6.
func instanceAddress(e *mdns.ServiceEntry, service string) string {
	if !strings.HasSuffix(strings.ToLower(e.Name), strings.ToLower("."+service+".local.")) {
		return ""
	}
	ip := e.AddrV4
	if ip == nil && e.AddrV6IPAddr != nil {
		ip = e.AddrV6IPAddr.IP
	}
	if ip == nil || e.Port < 1 || e.Port > 65535 {
		return ""
	}
	return net.JoinHostPort(ip.String(), strconv.Itoa(e.Port))
}
