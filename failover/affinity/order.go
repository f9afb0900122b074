// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package affinity

// Order is the order of a list of members for each client: those with priority as
// they are in the list, and the others by rendezvous hashing, or in list order too.
type Order struct {
	listed  int        // how many of the first are in list order for all clients
	hashed  bool       // there is an order by hash for the others
	clients Rendezvous // of the others, with hashed
}

// NewOrder makes the order of the members with these seeds, which are hashes of
// their names. The first prio have priority; without randomize all are in list order.
func NewOrder(seeds []uint64, prio int, randomize bool) Order {
	if !randomize {
		return Order{listed: len(seeds)}
	}
	return Order{listed: prio, hashed: true, clients: NewRendezvous(seeds[prio:])}
}

// First is the index of the first member in the order of the clients in that
// bucket. The list must not be empty.
func (o *Order) First(bucket uint32) int {
	if o.listed > 0 {
		return 0
	}
	return o.clients.First(bucket)
}

// Walk goes through the members in the order of one bucket. It holds no memory of
// its own, so that a caller can have it on its stack.
type Walk struct {
	o       *Order
	i       int // next of those in list order
	clients hashWalk
}

// Walk begins at the first member of the bucket's order.
func (o *Order) Walk(bucket uint32) Walk {
	w := Walk{o: o}
	if o.hashed {
		w.clients = o.clients.walk(bucket)
	}
	return w
}

// Next returns the index of the next member for which may is true, or -1.
func (w *Walk) Next(may func(i int) bool) int {
	for w.i < w.o.listed {
		w.i++
		if may(w.i - 1) {
			return w.i - 1
		}
	}
	if !w.o.hashed {
		return -1
	}
	if i := w.clients.next(w.o.listed, may); i >= 0 {
		return w.o.listed + i
	}
	return -1
}
