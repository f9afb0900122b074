// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"errors"
	"sync"
)

// ErrNone says that there is no process that needs datagrams of this one.
var ErrNone = errors.New("relaying datagrams: no other process needs them")

// Registry has the ways to the processes that were replaced. The zero value is empty.
type Registry struct {
	mu   sync.Mutex
	ways map[int]*way // by mu; by the process that was replaced
}

// way leads to one process.
type way struct {
	fd     int // the end of the process that reads
	reader int // the last process that has got it; zero is none
}

// Lend returns an end of a way, which is the caller's: of a new one to process itself,
// which is replaced; or of one to another process, which this one has not got yet, since
// it begins to read. It is [ErrNone] if there is none.
func (r *Registry) Lend(process int, own bool) (fd int, err error) {
	if own {
		return r.make(process)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for replaced, w := range r.ways {
		if w.reader == process || replaced == process {
			continue
		}
		if fd, err = dup(w.fd); err == nil {
			w.reader = process
		}
		return fd, err
	}
	return -1, ErrNone
}

func (r *Registry) make(process int) (fd int, err error) {
	reader, replaced, err := pair()
	if err != nil {
		return -1, err
	}
	r.Leave(process)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ways == nil {
		r.ways = make(map[int]*way)
	}
	r.ways[process] = &way{fd: reader}
	return replaced, nil
}

// Leave forgets a process that has ended.
func (r *Registry) Leave(process int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.ways[process]; w != nil {
		closeFD(w.fd)
		delete(r.ways, process)
	}
}
