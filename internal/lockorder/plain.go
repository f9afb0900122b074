// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !lockorder

package lockorder

import "sync"

// Mutex is a sync.Mutex of the class Class.
type Mutex[Class any] = sync.Mutex

// RWMutex is a sync.RWMutex of the class Class.
type RWMutex[Class any] = sync.RWMutex
