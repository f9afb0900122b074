// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"fmt"
	"strconv"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Policy is what a process is told about memory, in bytes; 0 is not known, or no limit.
type Policy struct {
	// Share is its part, and Whole what all of them have together.
	Share int64 `json:"share,omitempty"`
	Whole int64 `json:"whole,omitempty"`
	// Max is the option max_memory.
	Max int64 `json:"max,omitempty"`
	// GC is the option gc as a percentage; 0 is auto.
	GC int `json:"gc,omitempty"`
}

// Auto is the value of the option gc that lets the policy choose.
const Auto = "auto"

// maxGC is the most that gc may be.
const maxGC = 10_000

// ParseGC reads the option gc.
func ParseGC(text string) (percent int, err error) {
	if text == Auto || text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxGC || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("%q is neither auto nor a percentage from 1 to %d", text, maxGC)
	}
	return n, nil
}

const (
	// parentReserve is what the parent is left: it keeps to a third of that.
	parentReserve = 40 << 20
	// reservePart bounds that where there is little, as a part of all.
	reservePart = 4
)

// Divide is what each of so many processes may have, and all of them, of what there is.
func Divide(all int64, processes int) (share, whole int64) {
	if all <= 0 || processes <= 0 {
		return 0, 0
	}
	whole = all - min(parentReserve, all/reservePart)
	return whole / int64(processes), whole
}

// All is what the container has of memory, or else the machine; 0 is not known.
func All() int64 {
	all, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil || int64(all) < 0 {
		return 0
	}
	return int64(all)
}
