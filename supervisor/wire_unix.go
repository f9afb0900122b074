// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxOrder bounds one message to a child: the largest is its configuration.
	maxOrder = 256 << 20
	// maxReport bounds one message of a child, which may be broken or hostile.
	maxReport = 16 << 20
	// keptBuffer is how much memory a connection keeps between messages.
	keptBuffer = 64 << 10
)

// wire carries messages, one line of JSON each, with the files that go with
// them, over a stream socket pair. A stream has no limit for a message's size,
// and descriptors arrive with or before the bytes they were sent with.
type wire struct {
	conn *net.UnixConn
	max  int // bytes of a message that is received
	// takes allows descriptors to come in: only from a parent to its child.
	takes bool

	sending sync.Mutex

	// Of the one goroutine that receives.
	buf     []byte // received, not yet a whole line
	scanned int    // so much of buf has no end of a line
	files   []int
}

// wirePair makes the two ends of a control connection: ours, and the child's as
// a file to inherit.
func wirePair() (*wire, *os.File, error) {
	// No other child, forked at this moment, may inherit them: the connection is
	// its child's lifeline.
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("opening control connection: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours, err := wireOf(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	ours.max = maxReport
	return ours, theirs, nil
}

// inheritedWire takes over the control connection whose descriptor is value.
func inheritedWire(value string) (*wire, error) {
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("descriptor %q of the control connection: not a number above 2", value)
	}
	unix.CloseOnExec(fd)
	w, err := wireOf(os.NewFile(uintptr(fd), "control"))
	if err != nil {
		return nil, err
	}
	w.max, w.takes = maxOrder, true
	return w, nil
}

// wireOf takes over file, one end of a control connection.
func wireOf(file *os.File) (*wire, error) {
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
	return &wire{conn: uc}, nil
}

// send writes m and waits until the peer has room for it, or the connection is
// closed. The descriptors stay the caller's.
func (w *wire) send(m message, files ...int) error {
	m.Files = len(files)
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding control message: %w", err)
	}
	line = append(line, '\n')
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
func (w *wire) within(d time.Duration) { _ = w.conn.SetWriteDeadline(time.Now().Add(d)) }

// recv reads the next message. Its files are the caller's. Only one goroutine may
// call it; after an error nothing more can be read.
func (w *wire) recv() (message, error) {
	for {
		if i := bytes.IndexByte(w.buf[w.scanned:], '\n'); i >= 0 {
			return w.next(w.scanned + i)
		}
		w.scanned = len(w.buf)
		if len(w.buf) > w.max {
			return message{}, fmt.Errorf("receiving control message: longer than %d bytes", w.max)
		}
		if err := w.fill(); err != nil {
			return message{}, err
		}
	}
}

// next takes the message that ends at end out of what was received.
func (w *wire) next(end int) (message, error) {
	m, err := decodeMessage(w.buf[:end])
	rest := w.buf[end+1:]
	if cap(w.buf) > keptBuffer && len(rest) < keptBuffer {
		w.buf = bytes.Clone(rest)
	} else {
		w.buf = append(w.buf[:0], rest...)
	}
	w.scanned = 0
	if err != nil {
		return message{}, err
	}
	if m.Files < 0 || m.Files > len(w.files) {
		return message{}, fmt.Errorf("decoding control message: %d files announced, %d received", m.Files, len(w.files))
	}
	m.files = append([]int(nil), w.files[:m.Files]...)
	w.files = w.files[m.Files:]
	return m, nil
}

func (w *wire) fill() error {
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
func (w *wire) Close() error {
	return w.conn.Close()
}

func closeFiles(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
