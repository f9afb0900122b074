// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build lockorder

package lockorder

import (
	"reflect"
	"sync"
)

// Mutex is a sync.Mutex of the class Class, whose order is checked.
type Mutex[Class any] struct {
	mu sync.Mutex
	by holder // who holds it; guarded by itself
}

// Lock locks m. It ends the process if the order forbids it.
func (m *Mutex[Class]) Lock() {
	by := caller()
	by.wait(m, className[Class]())
	m.mu.Lock()
	m.by = by
	by.hold(m, className[Class]())
}

// TryLock locks m if it is free. It waits for nothing, so that any order is right.
func (m *Mutex[Class]) TryLock() bool {
	if !m.mu.TryLock() {
		return false
	}
	m.by = caller()
	m.by.hold(m, className[Class]())
	return true
}

// Unlock unlocks m, which another goroutine may have locked.
func (m *Mutex[Class]) Unlock() {
	m.by.release(m)
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex of the class Class, whose order is checked. To read is
// no different from to write there: a writer that waits makes readers wait. It must
// be unlocked by who locked it.
type RWMutex[Class any] struct{ mu sync.RWMutex }

// Lock locks m for writing. It ends the process if the order forbids it.
func (m *RWMutex[Class]) Lock() {
	by := caller()
	by.wait(m, className[Class]())
	m.mu.Lock()
	by.hold(m, className[Class]())
}

// Unlock unlocks m for writing.
func (m *RWMutex[Class]) Unlock() {
	caller().release(m)
	m.mu.Unlock()
}

// RLock locks m for reading. It ends the process if the order forbids it.
func (m *RWMutex[Class]) RLock() {
	by := caller()
	by.wait(m, className[Class]())
	m.mu.RLock()
	by.hold(m, className[Class]())
}

// RUnlock undoes one RLock.
func (m *RWMutex[Class]) RUnlock() {
	caller().release(m)
	m.mu.RUnlock()
}

func className[Class any]() string { return reflect.TypeFor[Class]().String() }
