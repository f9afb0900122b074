// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// rejoin tries brokers that are not members. Nothing waits for it: each that
// does not answer takes as long as tcpTimeout.
func (n *Node) rejoin() {
	if n.joining != nil {
		select {
		case <-n.joining:
		default:
			return // those of the last time are still being tried
		}
	}
	try := append([]string(nil), n.cfg.Seeds...)
	for _, p := range n.known {
		if !p.alive && time.Since(p.lost) < lostFor {
			try = append(try, p.at)
		}
	}
	if len(try) == 0 {
		return
	}
	done := make(chan struct{})
	n.joining = done
	n.work.Go(func() {
		defer close(done)
		if err := n.join(try); err != nil {
			n.logger.Debug("brokers of the network not reached", zap.Strings("brokers", try), zap.Error(err))
		}
	})
}

// join tries all these brokers at a time, each at every address of its name that
// is not a member. It fails when there are such and none was reached.
func (n *Node) join(brokers []string) error {
	members := make(map[string]bool)
	for _, m := range n.list.Members() {
		members[m.Address()] = true
	}
	var all sync.WaitGroup
	var mu sync.Mutex //nolint:forbidigo // guards errs; nothing else is locked under it
	var errs []error
	var reached atomic.Bool
	failed := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	for _, broker := range brokers {
		all.Go(func() {
			addresses, err := gossipAddresses(broker)
			if err != nil {
				failed(err)
			}
			for _, at := range addresses {
				if members[at] {
					continue
				}
				all.Go(func() {
					if _, err := n.list.Join([]string{at}); err != nil {
						failed(err)
					} else {
						reached.Store(true)
					}
				})
			}
		})
	}
	all.Wait()
	if reached.Load() {
		return nil
	}
	return errors.Join(errs...)
}

// gossipAddresses are all addresses that HOST:PORT stands for.
func gossipAddresses(broker string) ([]string, error) {
	host, port, err := net.SplitHostPort(broker)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{broker}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tcpTimeout)
	defer cancel()
	hosts, err := net.DefaultResolver.LookupHost(ctx, host)
	for i, h := range hosts {
		hosts[i] = net.JoinHostPort(h, port)
	}
	return hosts, err
}

// tellConflict says once that another broker has our name.
func (n *Node) tellConflict() {
	at := n.conflict.Swap(nil)
	if at == nil || *at == n.conflicted {
		return
	}
	n.conflicted = *at
	n.logger.Error("another broker of the network has this one's name, and they cannot be one network: give one of them another name",
		zap.String("name", n.cfg.Name), zap.String("address", *at))
}
