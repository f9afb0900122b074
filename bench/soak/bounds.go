// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package soak

import (
	"context"
	"fmt"

	"github.com/caddy-broker/caddy-broker/bench/peers"
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

// What a process may have more at the end than at the beginning. A child is
// another process by then, and keeps connections to its backends for a while.
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
