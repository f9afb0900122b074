// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package control

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Handed is a supervisor's end of a control connection on its way to the program that
// takes this one's place in the same process.
type Handed struct {
	// FD is the descriptor.
	FD int `json:"fd"`
	// Received is the beginning of a message that has come in.
	Received []byte `json:"received,omitempty"`
}

// Pause makes a Recv that is under way, or begins later, return an error that is
// [os.ErrDeadlineExceeded]. What has come in until then is not lost: Recv goes on with it
// after Resume.
func (w *Wire) Pause() { _ = w.conn.SetReadDeadline(time.Unix(1, 0)) }

// Resume ends a Pause.
func (w *Wire) Resume() { _ = w.conn.SetReadDeadline(time.Time{}) }

// Still returns when no message is being sent, and lets none begin before done is called.
func (w *Wire) Still() (done func()) {
	w.sending.Lock()
	return w.sending.Unlock
}

// HandOver returns the connection with a descriptor of its own, which is the caller's.
// The connection is paused and still.
func (w *Wire) HandOver() (Handed, error) {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return Handed{}, fmt.Errorf("handing over control connection: %w", err)
	}
	fd := -1
	if errControl := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 3) }); errControl != nil {
		err = errControl
	}
	if err != nil {
		return Handed{}, fmt.Errorf("handing over control connection: %w", err)
	}
	return Handed{FD: fd, Received: bytes.Clone(w.buf)}, nil
}

// Adopt goes on with a connection that was handed over.
func Adopt(h Handed) (*Wire, error) {
	w, err := wireFrom(os.NewFile(uintptr(h.FD), "control"))
	if err != nil {
		return nil, err
	}
	w.max, w.buf = maxReport, h.Received
	return w, nil
}
