// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package indoubt

import "sync/atomic"

// PlaceVar is the variable of an unsafe request that holds its [Place], where anyone
// wants to know it.
const PlaceVar = "broker_place"

// Place is where a request in progress was sent last. It may be asked while the request
// goes on.
type Place struct{ pool, backend atomic.Pointer[string] }

// Set notes the names, which must not change.
func (p *Place) Set(pool, backend *string) {
	p.pool.Store(pool)
	p.backend.Store(backend)
}

// Get returns the names, "" for a request that was sent nowhere.
func (p *Place) Get() (pool, backend string) {
	if name := p.pool.Load(); name != nil {
		pool = *name
	}
	if name := p.backend.Load(); name != nil {
		backend = *name
	}
	return pool, backend
}
