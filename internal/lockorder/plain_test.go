// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !lockorder

package lockorder

import (
	"sync"
	"testing"
)

// Without the tag it costs nothing: the types are those of package sync.
func TestOrdinaryBuildIsUnchanged(*testing.T) {
	func(*sync.Mutex, *sync.RWMutex) {}(new(Mutex[int]), new(RWMutex[int]))
}
