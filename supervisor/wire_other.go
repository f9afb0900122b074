// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package supervisor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// wire carries messages, one line of JSON each, over the child's standard input
// and output: this system passes no sockets.
type wire struct {
	in  *bufio.Reader
	out io.Writer
	end func() error

	sending sync.Mutex
}

func (w *wire) send(m message, files ...int) error {
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
func (w *wire) within(time.Duration) {}

func (w *wire) recv() (message, error) {
	line, err := w.in.ReadBytes('\n')
	if err != nil {
		return message{}, err
	}
	return decodeMessage(line)
}

// Close ends the connection.
func (w *wire) Close() error { return w.end() }

// inheritedWire speaks over this process's standard input and output.
func inheritedWire(string) (*wire, error) {
	return &wire{in: bufio.NewReader(os.Stdin), out: os.Stdout, end: os.Stdin.Close}, nil
}

func closeFiles([]int) {}
