// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "sync/atomic"

// Flow is what the carrier says of a member's connections.
type Flow struct {
	Reads     atomic.Uint64 // bytes that came are not counted, reads are
	Uploading atomic.Int64  // requests whose body is being written
	Writes    atomic.Uint64 // parts of such bodies that connections took
}

// Upload tells a pool of one request body on its way to a member, so that a
// backend that takes a long upload is not thought to hang. The zero value is
// ready. It may be used from several goroutines.
type Upload struct {
	flow  *Flow
	state atomic.Uint32 // 0 not begun, 1 running, 2 over
}

// Begin says that the body of a request to the member with that flow is about to be written.
func (u *Upload) Begin(flow *Flow) {
	if u.state.Load() != 0 {
		return
	}
	u.flow = flow
	flow.Uploading.Add(1)
	u.state.Store(1)
}

// Wrote says that the connection took a part of the body.
func (u *Upload) Wrote() {
	if u.state.Load() == 1 {
		u.flow.Writes.Add(1)
	}
}

// End says that the body was written or given up. It may be called repeatedly.
func (u *Upload) End() {
	if u.state.CompareAndSwap(1, 2) {
		u.flow.Uploading.Add(-1)
	}
}
