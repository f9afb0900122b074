// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// reserved is how many descriptors are kept for a start: a process takes ten of its
// parent, for its connection, its output and the system's own, and a socket three.
const reserved = 16

// Reserve keeps descriptors that are given up when a process cannot be started, or a
// socket not be opened, because there are no more: whatever else this process does with
// its own, its child comes back.
type Reserve struct {
	mu    sync.Mutex
	files []*os.File // by mu
}

// Fill takes what is missing, as far as there is.
func (r *Reserve) Fill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.files) < reserved {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		r.files = append(r.files, file)
	}
}

// GiveUp closes them, and reports whether there were any.
func (r *Reserve) GiveUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := len(r.files) > 0
	for _, file := range r.files {
		_ = file.Close()
	}
	r.files = nil
	return had
}

// With does f, and once more with the reserve given up if there were no descriptors
// for it.
func (r *Reserve) With(f func() error) error {
	err := f()
	if exhausted(err) && r.GiveUp() {
		err = f()
	}
	r.Fill()
	return err
}

// exhausted reports whether there are no more descriptors.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
