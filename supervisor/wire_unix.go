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
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds one message; the largest is a child's configuration.
const maxMessage = 256 << 20

// wire carries messages, one line of JSON each, with the files that go with
// them, over a stream socket pair. A stream has no limit for a message's size,
// and descriptors arrive with or before the bytes they were sent with.
type wire struct {
	conn *net.UnixConn

	sending sync.Mutex

	buf   []byte // received, not yet a whole line
	files []int
}

// wirePair makes the two ends of a control connection: ours, and the child's as
// a file to inherit.
func wirePair() (*wire, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("opening control connection: %w", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours, err := wireOf(os.NewFile(uintptr(fds[0]), "control"))
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
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

// send writes m. The descriptors stay the caller's; they are plain numbers,
// because [os.File.Fd] may make a socket block for everyone who shares it. A peer that does not read makes it
// fail after timeout; 0 waits for ever.
func (w *wire) send(m message, timeout time.Duration, files ...int) error {
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
	deadline := time.Time{}
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	_ = w.conn.SetWriteDeadline(deadline)
	n, _, err := w.conn.WriteMsgUnix(line, rights, nil)
	if err == nil && n < len(line) {
		_, err = w.conn.Write(line[n:])
	}
	if err != nil {
		return fmt.Errorf("sending control message: %w", err)
	}
	return nil
}

// recv reads the next message and its files, which are the caller's then. Only
// one goroutine may call it.
func (w *wire) recv() (message, []int, error) {
	for {
		if i := bytes.IndexByte(w.buf, '\n'); i >= 0 {
			var m message
			err := json.Unmarshal(w.buf[:i], &m)
			w.buf = append(w.buf[:0], w.buf[i+1:]...)
			if err != nil {
				return message{}, nil, fmt.Errorf("decoding control message: %w", err)
			}
			if m.Files > len(w.files) || m.Files < 0 {
				return message{}, nil, fmt.Errorf("decoding control message: %d files announced, %d received", m.Files, len(w.files))
			}
			files := w.files[:m.Files:m.Files]
			w.files = w.files[m.Files:]
			return m, files, nil
		}
		if len(w.buf) > maxMessage {
			return message{}, nil, fmt.Errorf("receiving control message: longer than %d bytes", maxMessage)
		}
		if err := w.fill(); err != nil {
			return message{}, nil, err
		}
	}
}

func (w *wire) fill() error {
	var data [16 << 10]byte
	oob := make([]byte, unix.CmsgSpace(4*16))
	n, oobn, _, _, err := w.conn.ReadMsgUnix(data[:], oob)
	if err != nil {
		return err
	}
	if n == 0 && oobn == 0 {
		return net.ErrClosed
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

// inheritedWire takes over the control connection whose descriptor is value.
func inheritedWire(value string) (*wire, error) {
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("descriptor %q of the control connection: not a number above 2", value)
	}
	unix.CloseOnExec(fd)
	return wireOf(os.NewFile(uintptr(fd), "control"))
}

func closeFiles(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
