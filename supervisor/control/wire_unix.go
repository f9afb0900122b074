// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// PassesSockets reports whether a parent can lend its child a socket.
const PassesSockets = true

const (
	// keptBuffer is how much memory a connection keeps between messages.
	keptBuffer = 64 << 10
)

// Wire carries messages, one line of JSON each, with the files that go with
// them, over a stream socket pair. A stream has no limit for a message's size,
// and descriptors arrive with or before the bytes they were sent with.
type Wire struct {
	conn *net.UnixConn
	max  int // bytes of a message that is received
	most int // bytes of a message that is sent; the other side takes no larger one
	// takes allows descriptors to come in: only from a parent to its child.
	takes bool

	sending sync.Mutex

	// Of the one goroutine that receives.
	buf     []byte // received, not yet a whole line
	scanned int    // so much of buf has no end of a line
	files   []int
}

// wireFrom takes over file, one end of a control connection.
func wireFrom(file *os.File) (*Wire, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("opening control connection: %w", err)
	}
	uc, ok := conn.(*net.UnixConn)
	if !ok {
		_ = conn.Close()
		return nil, fmt.Errorf("opening control connection: descriptor is a %T, not a unix socket", conn)
	}
	return &Wire{conn: uc, most: maxOrder}, nil
}

// Send writes m and waits until the peer has room for it, or the connection is
// closed. The descriptors stay the caller's.
func (w *Wire) Send(m Message, files ...int) error {
	m.Files = len(files)
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding control message: %w", err)
	}
	line = append(line, '\n')
	if len(line) > w.most {
		return fmt.Errorf("sending control message: %w: %d bytes, the limit is %d", ErrTooLarge, len(line), w.most)
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}

	w.sending.Lock()
	defer w.sending.Unlock()
	n, _, err := w.conn.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		_, err = w.conn.Write(line[n:])
	}
	if err != nil {
		return fmt.Errorf("sending control message: %w", err)
	}
	return nil
}

// within makes every send that is under way or begins after it fail when d is over.
func (w *Wire) within(d time.Duration) { _ = w.conn.SetWriteDeadline(time.Now().Add(d)) }

// Recv reads the next message. Its files are the caller's. Only one goroutine may
// call it; after an error nothing more can be read.
func (w *Wire) Recv() (Message, error) {
	for {
		if i := bytes.IndexByte(w.buf[w.scanned:], '\n'); i >= 0 {
			return w.next(w.scanned + i)
		}
		w.scanned = len(w.buf)
		if len(w.buf) > w.max {
			return Message{}, fmt.Errorf("receiving control message: %w: longer than %d bytes", ErrUnreadable, w.max)
		}
		if err := w.fill(); err != nil {
			return Message{}, err
		}
	}
}

// next takes the message that ends at end out of what was received.
func (w *Wire) next(end int) (Message, error) {
	m, err := decodeMessage(w.buf[:end])
	rest := w.buf[end+1:]
	if cap(w.buf) > keptBuffer && len(rest) < keptBuffer {
		w.buf = bytes.Clone(rest)
	} else {
		w.buf = append(w.buf[:0], rest...)
	}
	w.scanned = 0
	if err != nil {
		return Message{}, err
	}
	if m.Files < 0 || m.Files > len(w.files) {
		return Message{}, fmt.Errorf("decoding control message: %w: %d files announced, %d received", ErrUnreadable, m.Files, len(w.files))
	}
	m.files = append([]int(nil), w.files[:m.Files]...)
	w.files = w.files[m.Files:]
	return m, nil
}

func (w *Wire) fill() error {
	var data [16 << 10]byte
	var oob []byte // without room for them, the kernel closes descriptors that come
	if w.takes {
		oob = make([]byte, unix.CmsgSpace(4*16))
	}
	n, oobn, _, _, err := w.conn.ReadMsgUnix(data[:], oob)
	if err != nil {
		return err
	}
	w.buf = append(w.buf, data[:n]...)
	if oobn == 0 {
		return nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return fmt.Errorf("receiving descriptors: %w", err)
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fmt.Errorf("receiving descriptors: %w", err)
		}
		w.files = append(w.files, fds...)
	}
	return nil
}

// Close ends the connection; a pending recv returns.
func (w *Wire) Close() error {
	return w.conn.Close()
}

func closeFiles(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
