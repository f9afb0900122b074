// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
	"github.com/caddy-broker/caddy-broker/module/proxy"
)

// prove says whether this process, which serves no users yet, would serve as well as the one
// that does: its certificates are in memory, its pools reach their backends as those of
// that process do, of which kept is known, and the operator's probes are answered as they
// shall be.
func (rt *childRuntime) prove(kept *poolstate.Kept, data json.RawMessage) error {
	var probes []probe.Probe
	if err := json.Unmarshal(data, &probes); err != nil {
		return fmt.Errorf("reading probes: %w", err)
	}
	learnt, err := kept.State()
	if err != nil {
		return fmt.Errorf("reading the pools' state: %w", err)
	}
	var failed []error
	var unreached []error
	var missing []string
	var all sync.WaitGroup
	all.Go(func() { missing = awaitCertificates(rt.config, hasKey) })
	all.Go(func() { unreached = proxy.Unreached(context.Background(), learnt) })
	all.Go(func() { failed = rt.sendAll(probes) })
	all.Wait()
	if len(missing) > 0 {
		unreached = append(unreached, fmt.Errorf("the certificates of %s are not loaded, though their keys are stored", strings.Join(missing, ", ")))
	}
	return inOneLine(append(unreached, failed...))
}

// probe says whether this process, which serves, still answers the operator's probes as it
// shall.
func (rt *childRuntime) probe(data json.RawMessage) error {
	var probes []probe.Probe
	if err := json.Unmarshal(data, &probes); err != nil {
		return fmt.Errorf("reading probes: %w", err)
	}
	return inOneLine(rt.sendAll(probes))
}

// sendAll sends all probes at once, and returns what is wrong with each answer.
func (rt *childRuntime) sendAll(probes []probe.Probe) []error {
	failed := make([]error, len(probes))
	var all sync.WaitGroup
	for i := range probes {
		all.Go(func() { failed[i] = probes[i].Send(context.Background(), rt.dialer(&probes[i])) })
	}
	all.Wait()
	return failed
}

// inOneLine is several errors as one.
func inOneLine(errs []error) error {
	var texts []string
	for _, err := range errs {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// dialer makes connections to this process's own server for what a probe asks, without
// the system's queue, in which users wait for the process that serves.
func (rt *childRuntime) dialer(p *probe.Probe) func(ctx context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		u, err := url.Parse(p.URL)
		if err != nil {
			return nil, err
		}
		l, err := rt.listening(u)
		if err != nil {
			return nil, err
		}
		ours, theirs := net.Pipe()
		if err := l.put(ctx, probeConn{theirs, l.Addr()}); err != nil {
			_ = ours.Close()
			_ = theirs.Close()
			return nil, err
		}
		return ours, nil
	}
}

// listening is the listener that a client would reach at u: of several on its port the
// one with its address, else one for all addresses.
func (rt *childRuntime) listening(u *url.URL) (found *listener, err error) {
	var sites probe.Sites
	if app, err := caddy.ActiveContext().AppIfConfigured("http"); err == nil {
		if app, ok := app.(*caddyhttp.App); ok {
			sites.HTTPPort, sites.HTTPSPort = app.HTTPPort, app.HTTPSPort
		}
	}
	port := sites.Port(u)
	host, _ := netip.ParseAddr(u.Hostname())
	best := 0
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for l := range rt.listeners {
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok || addr.AddrPort().Port() != port {
			continue
		}
		fits := 1
		switch ip := addr.AddrPort().Addr().Unmap(); {
		case ip == host.Unmap() && host.IsValid():
			fits = 3
		case ip.IsUnspecified():
			fits = 2
		}
		if fits > best {
			found, best = l, fits
		}
	}
	if found == nil {
		return nil, fmt.Errorf("nothing of this process listens on port %d", port)
	}
	return found, nil
}
