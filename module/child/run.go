// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/memory"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/proxy"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// Run is the whole life of a supervised child: it takes its configuration
// from the parent, loads it, says that it is ready, and then does what it is told.
func Run() (int, error) {
	caddy.TrapSignals()
	logger, original, _ := caddy.BufferedLog()
	defer caddy.UnbufferDefaultLogger(original)

	link, hello, err := control.Connect()
	if errors.Is(err, control.ErrNoParent) {
		return caddy.ExitCodeFailedStartup,
			fmt.Errorf("--child is what a running broker starts by itself: use `caddy broker run --ha`")
	}
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	rt := newChildRuntime(link)
	if rt.account, err = account.Inherit(); err != nil {
		logger.Warn("requests that the death of this process cuts off will not be listed", zap.Error(err))
	}
	if rt.account == nil {
		rt.account = account.New() // for what this process reports itself
	}
	rt.unbound.Store(hello.Unbound && control.PassesSockets)
	runtime.Store(rt)
	collector := memory.NewCollector()
	childStart(hello.Data, collector)
	logger.Info("memory limit of this process", zap.String("limit", sizeOf(collector.Limit())))
	go link.Serve(rt.orders(hello, collector))

	// Loading leaves much behind in a heap that is still small: it would be searched
	// again and again.
	gc := debug.SetGCPercent(loadingGC)
	config, err := PrepareConfig(hello.Config, hello.Admin)
	if err != nil {
		err = refusal(hello.Config, err)
	} else {
		err = caddy.Load(config, true)
	}
	debug.SetGCPercent(gc)
	go collector.Run(context.Background())
	if err != nil {
		err = errors.New(inUserWords(err.Error()))
		if link.Failed(err) == nil {
			os.Exit(caddy.ExitCodeFailedStartup) // the broker says it
		}
		return caddy.ExitCodeFailedStartup, fmt.Errorf("loading the child's configuration: %w", err)
	}
	rt.config = config
	if missing := awaitCertificates(config, stored); len(missing) > 0 {
		caddy.Log().Named("broker").Warn("stored certificates are not in memory yet; the child serves without them", zap.Strings("names", missing))
	}
	if err := link.Ready(); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	rt.heartbeat(context.Background(), echoPools, link.Beat)
	select {} // the signal handler, or an order, ends the process
}

// loadingGC is how much the heap may grow in percent before it is collected, while a
// configuration is loaded.
const loadingGC = 400

// sizeOf is a number of bytes for people.
func sizeOf(limit int64) string {
	if limit == math.MaxInt64 {
		return "none"
	}
	return fmt.Sprintf("%d MiB", limit>>20)
}

// orders are what the parent's words mean here. Those that take time run on
// their own: an immediate stop must not keep its escalation waiting.
func (rt *childRuntime) orders(hello control.Hello, collector *memory.Collector) control.Orders {
	told := &told{collector: collector}
	return control.Orders{
		Unbind: rt.unbind,
		Activate: func() {
			poolsActivate(rt.link, told.pools())
			rt.activate()
			// Not before: it is about the sockets of the process that serves.
			if sockets, err := json.Marshal(plainSockets()); err == nil {
				_ = rt.link.Report(parlance.TopicPlain, sockets)
			}
		},
		Prove: func(data json.RawMessage) {
			kept := told.pools()
			go func() { _ = rt.link.Proved(rt.prove(kept, data)) }()
		},
		Probe: func(data json.RawMessage) {
			go func() { _ = rt.link.Probed(rt.probe(data)) }()
		},
		Packets: func() {
			go func() {
				<-rt.taken
				rt.readPackets()
			}()
		},
		Drain: func(timeout time.Duration) { go rt.drain(timeout) },
		Stop: func(mode control.Mode) {
			if mode == control.Force {
				rt.force()
				return
			}
			go rt.stop()
		},
		Tell: told.take,
		Orphaned: func(why error) {
			caddy.Log().Named("broker").Error("the broker is gone; stopping", zap.Error(why))
			removeAdminDir(hello.Admin)
			if hello.DrainTimeout > 0 {
				time.AfterFunc(hello.DrainTimeout, rt.force)
			}
			// The next broker may read the same datagram sockets already.
			rt.leave()
			rt.closeHTTP3()
			// A client that was just accepted is about to send its first request.
			tick := time.NewTicker(idlePoll)
			rt.awaitQuiet(bornTime, tick.C)
			tick.Stop()
			rt.stop()
		},
	}
}

// removeAdminDir removes the directory of the children's private sockets, which
// the parent can no more.
func removeAdminDir(socket string) {
	if dir := filepath.Dir(socket); strings.HasPrefix(filepath.Base(dir), parlance.AdminDirPrefix) {
		_ = os.RemoveAll(dir)
	}
}

// drain finishes what is in progress within timeout, while clients move to the
// process that replaced this one, and ends this process.
func (rt *childRuntime) drain(timeout time.Duration) {
	rt.replaced.Store(true)
	datagrams := rt.askRelay()
	rt.moving.Store(datagrams != nil)
	rt.leave()
	moved := over
	if datagrams != nil {
		moved = rt.moveHTTP3(datagrams)
	} else {
		rt.cutHTTP3()
	}
	_ = rt.link.Released()
	proxy.Interrupt()
	var deadline <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		deadline = timer.C
	}
	finished := rt.awaitConns(deadline, unusedGrace)
	if finished {
		select {
		case <-moved:
		case <-deadline:
			finished = false
		}
	}
	if !finished {
		rt.moving.Store(false)
		rt.cutOff("the process was replaced and drain_timeout is over", everyRequest)
		rt.closeConns()
		rt.closeHTTP3()
	}
	terminate()
}

// over is closed.
var over = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// unusedGrace is how long a client that has opened a connection to a process that
// was replaced may be silent before it must open another one.
const unusedGrace = 5 * time.Second

// awaitConns waits until no connection is open, or until the deadline, and tells
// which. Browsers open connections in advance: one that is not used is cut after
// grace.
func (rt *childRuntime) awaitConns(deadline <-chan time.Time, grace time.Duration) bool {
	none := rt.noConns()
	tick := time.NewTicker(grace / 5)
	defer tick.Stop()
	for {
		select {
		case <-none:
			return true
		case <-deadline:
			return false
		case <-tick.C:
			rt.closeUnused(grace)
		}
	}
}

// stop takes nothing new, ends what only waits to receive, waits for the
// requests in progress and ends this process. It does not return.
func (rt *childRuntime) stop() {
	rt.leave()
	proxy.Interrupt()
	packets := make(chan struct{})
	go func() {
		rt.finishHTTP3()
		_ = rt.link.Released()
		close(packets)
	}()
	tick := time.NewTicker(idlePoll)
	defer tick.Stop()
	for rt.requests.len() > 0 {
		rt.requests.interrupt()
		<-tick.C
	}
	<-packets
	// A client that was just accepted, or answered, may be about to send a request.
	quiet := bornTime
	if rt.replaced.Load() {
		quiet = movedTime
	}
	rt.awaitQuiet(quiet, tick.C)
	terminate()
	// http.Server would give connections on which nothing came seconds to begin.
	for ; ; <-tick.C {
		rt.closeUnused(0)
	}
}

// movedTime is how long nothing must have come on the connections of a process that was
// replaced, when it is to end before all of them are closed. Those of clients that send
// one request after the other are closed by then, with an answer that says so; on one
// that has been quiet for long a request at that very moment is as unlikely as it can be.
const movedTime = time.Second

// bornTime is the same for a process that nothing serves beside: who comes next waits for it.
const bornTime = 200 * time.Millisecond

// awaitQuiet returns when nothing has come on any connection for as long as quiet and no
// request is in progress, after three times that at the latest.
func (rt *childRuntime) awaitQuiet(quiet time.Duration, tick <-chan time.Time) {
	for over := time.Now().Add(3 * quiet); time.Now().Before(over); <-tick {
		rt.requests.interrupt()
		if rt.requests.len() == 0 && rt.quietFor() >= quiet {
			return
		}
	}
}

// force cuts everything and ends this process at once.
func (rt *childRuntime) force() {
	rt.cutOff("the process was stopped by force", everyRequest)
	rt.closeConns()
	certmagic.CleanUpOwnLocks(context.Background(), caddy.Log())
	os.Exit(caddy.ExitCodeForceQuit)
}

// everyRequest is for cutOff.
func everyRequest(*inflight) bool { return true }
