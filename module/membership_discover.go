// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/mdns"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
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
// to the owner; found is that of whoever browses until done is closed.
type browser struct {
	what  string // option discovery
	last  time.Time
	next  time.Time
	done  chan struct{}        // of the last browsing; nil before the first
	found map[string]time.Time // when an address answered last
}

// forget makes the next look browse. What was found earlier, perhaps by another
// process, counts as found now.
func (b *browser) forget(what string, known []failover.URI, now time.Time) {
	b.what, b.last, b.next = what, time.Time{}, time.Time{}
	b.found = make(map[string]time.Time)
	for _, u := range known {
		b.found[u.Dial()] = now
	}
}

// browse looks for instances when that is due. Nothing waits for it.
func (s *membership) browse(ctx context.Context, f *Failover, now time.Time) {
	b := &s.agent
	if b.what == "" || b.done != nil && !isClosed(b.done) {
		return
	}
	if now.Before(b.next) && (s.entry.pool.Online() || now.Sub(b.last) < browseAgain) {
		return
	}
	what, found, done := b.what, b.found, make(chan struct{})
	b.last, b.next, b.done = now, now.Add(browsePeriod), done
	logger := f.logger.Named("mdns")
	s.work.Go(func() {
		w := word{source: what, where: what, kind: "uris"}
		list, err := browseMDNS(ctx, strings.TrimPrefix(what, agentMDNS), logger)
		if err != nil {
			w.kind, w.err = "bad", err
		}
		at := time.Now()
		for _, address := range list {
			found[address] = at
		}
		maps.DeleteFunc(found, func(_ string, last time.Time) bool { return at.Sub(last) > browseKept })
		w.text = []byte(strings.Join(slices.Sorted(maps.Keys(found)), "\n"))
		close(done)
		if err != nil || len(list) > 0 { // silence says nothing
			s.tell(ctx, w)
		}
	})
}

// browseMDNS asks all on the local network for instances of a service, and
// returns the addresses of those that answered. IPv4 and IPv6 are asked apart: the
// library gives up both when one of them has no route.
func browseMDNS(ctx context.Context, service string, logger *zap.Logger) ([]string, error) {
	// The library speaks of each query and each packet that it cannot read.
	log, err := zap.NewStdLogAt(logger, zap.DebugLevel)
	if err != nil {
		return nil, err
	}
	type answer struct {
		list []string
		err  error
	}
	answers := make(chan answer, 2)
	for _, v4 := range []bool{true, false} {
		// When the context ends, the sockets are closed at once, and the query
		// returns after browseTime at the latest.
		go func() {
			// Entries are written to until the query is over, and those that do
			// not fit are dropped.
			entries := make(chan *mdns.ServiceEntry, failover.MaxListAddresses)
			err := mdns.QueryContext(ctx, &mdns.QueryParam{
				Service: service, Timeout: browseTime, Entries: entries, WantUnicastResponse: true,
				DisableIPv4: !v4, DisableIPv6: v4, Logger: log,
			})
			close(entries)
			var a answer
			for e := range entries {
				if address := instanceAddress(e, service); address != "" {
					a.list = append(a.list, address)
				}
			}
			a.err = err
			answers <- a
		}()
	}
	var list []string
	var failed []error
	for range cap(answers) {
		select {
		case a := <-answers:
			list = append(list, a.list...)
			if a.err != nil {
				failed = append(failed, a.err)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if len(failed) == cap(answers) {
		return nil, errors.Join(failed...)
	}
	return list, nil
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
