// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/peers"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// size is what a process keeps: bytes of its own and open descriptors.
type size struct {
	memory      int64
	descriptors int
}

func (s size) String() string {
	return fmt.Sprintf("%.1f MiB, %d descriptors", float64(s.memory)/(1<<20), s.descriptors)
}

func sizeOf(pid int) (size, error) {
	m, err := peers.MemoryOf(pid)
	if err != nil {
		return size{}, err
	}
	n, err := peers.Descriptors(pid)
	return size{m.Anonymous, n}, err
}

// What a process may have more, once it has come to rest, than at the beginning. A
// child is another process by then, and keeps connections to its backends for a while.
var (
	parentGrowth = size{memory: 16 << 20, descriptors: 16}
	childGrowth  = size{memory: 32 << 20, descriptors: 160}
)

// bounded says what grew too much; empty when nothing did.
func bounded(name string, before, after, growth size) string {
	if after.memory > before.memory+growth.memory || after.descriptors > before.descriptors+growth.descriptors {
		return fmt.Sprintf("%s: %s in the beginning, %s in the end", name, before, after)
	}
	return ""
}

// restTime is how long that may take: a child keeps up to 512 idle connections to a backend,
// after a burst of requests, for two minutes.
const restTime = 3 * time.Minute

// atRest waits until both processes have given back what the load made them take,
// and says what still is too much then. A process has no need to give back memory
// soon: it is told to collect, and then returns pages to the system little by little.
func (w *world) atRest(ctx context.Context, parent, active size) (parentNow, activeNow size, bad []string, err error) {
	_ = harness.Until(ctx, restTime, func() error {
		for _, path := range []string{"", "/broker/children/default/admin"} {
			if err = w.admin(ctx, http.MethodGet, path+"/debug/pprof/heap?gc=1", nil); err != nil {
				return err
			}
		}
		if parentNow, activeNow, err = w.sizes(ctx); err != nil {
			return err
		}
		bad = slices.DeleteFunc([]string{
			bounded("parent", parent, parentNow, parentGrowth), bounded("child", active, activeNow, childGrowth),
		}, func(line string) bool { return line == "" })
		if len(bad) > 0 {
			return errors.New("not at rest")
		}
		return nil
	})
	return parentNow, activeNow, bad, err
}

// sizes are those of the parent and of the active child.
func (w *world) sizes(ctx context.Context) (parent, active size, err error) {
	pid, _, err := w.settled(ctx)
	if err != nil {
		return size{}, size{}, err
	}
	if parent, err = sizeOf(w.proxy.Master()); err != nil {
		return size{}, size{}, err
	}
	active, err = sizeOf(pid)
	return parent, active, err
}
