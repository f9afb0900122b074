// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// PassesSockets reports whether a parent can lend its child a socket. On this system it
// cannot: a child opens its own.
const PassesSockets = false

// wire carries messages, one line of JSON each, over the child's standard input
// and output: this system passes no sockets.
type Wire struct {
	in  *bufio.Reader
	max int // bytes of a message that is received
	out io.Writer
	end func() error

	sending sync.Mutex
}

func (w *Wire) Send(m Message, files ...int) error {
	if len(files) > 0 {
		return errors.ErrUnsupported
	}
	line, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encoding control message: %w", err)
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	if _, err := w.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("sending control message: %w", err)
	}
	return nil
}

// within has no effect: a pipe has no deadlines on this system.
func (w *Wire) within(time.Duration) {}

func (w *Wire) Recv() (Message, error) {
	var line []byte
	for {
		part, err := w.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > w.max:
			return Message{}, fmt.Errorf("receiving control message: %w: longer than %d bytes", ErrUnreadable, w.max)
		case err == nil:
			return decodeMessage(line)
		case errors.Is(err, os.ErrClosed):
			return Message{}, fmt.Errorf("receiving control message: %w", net.ErrClosed) // as where it is a socket
		case !errors.Is(err, bufio.ErrBufferFull):
			return Message{}, err
		}
	}
}

// Close ends the connection.
func (w *Wire) Close() error { return w.end() }

func closeFiles([]int) {}
