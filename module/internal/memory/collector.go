// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"
)

// lookEvery is how often the heap is looked at: between two looks the limit holds.
const lookEvery = time.Second

// ratio is the part of its memory that Go's runtime may have, unless AUTOMEMLIMIT says
// otherwise.
const usualRatio = 0.9

// Collector sets the garbage collector of this process.
type Collector struct {
	policy atomic.Pointer[Policy]
	ratio  float64
	// ownPercent and ownLimit say that the user has set GOGC and GOMEMLIMIT.
	ownPercent, ownLimit bool
	set                  settings // last; zero before
	samples              []metrics.Sample
}

// What is read of the heap, in the order of Collector.samples.
const (
	liveBytes = iota
	totalBytes
	releasedBytes
	objectBytes
	unusedBytes
	freeBytes
)

var names = [...]string{
	liveBytes:     "/gc/heap/live:bytes",
	totalBytes:    "/memory/classes/total:bytes",
	releasedBytes: "/memory/classes/heap/released:bytes",
	objectBytes:   "/memory/classes/heap/objects:bytes",
	unusedBytes:   "/memory/classes/heap/unused:bytes",
	freeBytes:     "/memory/classes/heap/free:bytes",
}

// NewCollector looks at what the user has set.
func NewCollector() *Collector {
	c := &Collector{ratio: usualRatio, samples: make([]metrics.Sample, len(names))}
	for i, name := range names {
		c.samples[i].Name = name
	}
	_, c.ownPercent = os.LookupEnv("GOGC")
	_, c.ownLimit = os.LookupEnv("GOMEMLIMIT")
	switch text := os.Getenv("AUTOMEMLIMIT"); text {
	case "":
	case "off":
		c.ownLimit = true
	default:
		if r, err := strconv.ParseFloat(text, 64); err == nil && r > 0 && r <= 1 {
			c.ratio = r
		}
	}
	return c
}

// Follow takes a policy, which holds from the next look on.
func (c *Collector) Follow(p Policy) { c.policy.Store(&p) }

// Limit sets the limit alone, for while a configuration is loaded, and returns it;
// [math.MaxInt64] is none.
func (c *Collector) Limit() int64 {
	p := c.policy.Load()
	if p != nil && !c.ownLimit {
		c.set.limit = p.choose(heap{}, c.ratio).limit
		debug.SetMemoryLimit(c.set.limit)
	}
	return debug.SetMemoryLimit(-1)
}

// Run looks at the heap until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		c.look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Collector) look() {
	p := c.policy.Load()
	if p == nil {
		return
	}
	policy := *p
	if c.ownLimit { // which is the share then
		if own := debug.SetMemoryLimit(-1); own < math.MaxInt64 {
			policy = Policy{Share: int64(float64(own) / c.ratio), Max: p.Max, GC: p.GC}
		}
	}
	next := policy.choose(c.heap(), c.ratio)
	if next.percent != c.set.percent && !c.ownPercent {
		debug.SetGCPercent(next.percent)
	}
	if next.limit != c.set.limit && !c.ownLimit {
		debug.SetMemoryLimit(next.limit)
	}
	c.set = next
}

func (c *Collector) heap() heap {
	metrics.Read(c.samples)
	n := func(i int) int64 {
		if c.samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int64(c.samples[i].Value.Uint64())
	}
	return heap{
		live:  n(liveBytes),
		other: n(totalBytes) - n(releasedBytes) - n(objectBytes) - n(unusedBytes) - n(freeBytes),
	}
}
