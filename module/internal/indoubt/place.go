// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package indoubt

// PlaceVar is the variable of a request that holds its [Place], in a process that keeps
// account of its requests.
const PlaceVar = "broker_place"

// Place is told how far a request in progress has got, so that what its process leaves
// behind is known. Carried and At are said on the request's own goroutine.
type Place interface {
	// Carried says that this pool carries the request: what is written of it, is said here
	// first.
	Carried(pool string)
	// At says where it is about to be sent.
	At(pool, backend string)
	// Written says that something of it is about to be written to a backend.
	Written()
	// Unwritten says that what was written is proven not to have been processed.
	Unwritten()
}

// Nowhere is the place of a request of which no account is kept.
var Nowhere Place = nowhere{}

type nowhere struct{}

func (nowhere) Carried(string)    {}
func (nowhere) At(string, string) {}
func (nowhere) Written()          {}
func (nowhere) Unwritten()        {}
