// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "sync/atomic"

// Upload tells a pool of one request body on its way to a member, so that a
// backend that takes a long upload is not thought to hang. The zero value is
// ready. Unlike Request it may be used from several goroutines.
type Upload struct {
	m     *Member
	state atomic.Uint32 // 0 not begun, 1 running, 2 over
}

// Begin says that the body of a request to m is about to be written.
func (u *Upload) Begin(m *Member) {
	if u.state.Load() != 0 {
		return
	}
	u.m = m
	m.uploading.Add(1)
	u.state.Store(1)
}

// Wrote says that the connection took a part of the body.
func (u *Upload) Wrote() {
	if u.state.Load() == 1 {
		u.m.writes.Add(1)
	}
}

// End says that the body was written or given up. It may be called repeatedly.
func (u *Upload) End() {
	if u.state.CompareAndSwap(1, 2) {
		u.m.uploading.Add(-1)
	}
}
