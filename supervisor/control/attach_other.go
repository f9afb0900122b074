// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package control

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Attach gives cmd, which is not started yet, a control connection over its
// standard input and output, and returns the supervisor's end of it. release closes
// the child's ends in this process: call it once cmd was started, or could not be.
func Attach(cmd *exec.Cmd) (w *Wire, release func(), err error) {
	fromChild, childOut, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("opening control connection: %w", err)
	}
	childIn, toChild, err := os.Pipe()
	if err != nil {
		_, _ = fromChild.Close(), childOut.Close()
		return nil, nil, fmt.Errorf("opening control connection: %w", err)
	}
	cmd.Stdin, cmd.Stdout = childIn, childOut
	cmd.Env = append(cmd.Env, Env+"=stdio")
	w = &Wire{in: bufio.NewReader(fromChild), max: maxReport, out: toChild, end: func() error {
		return errors.Join(fromChild.Close(), toChild.Close())
	}}
	return w, func() { _, _ = childIn.Close(), childOut.Close() }, nil
}

// inherited speaks over this process's standard input and output. From here on they are
// the connection's alone: what else the process writes to its standard output, such as a
// log, goes where its standard error goes, and its standard input is empty.
func inherited(string) (*Wire, error) {
	in, out := os.Stdin, os.Stdout
	os.Stdout = os.Stderr
	os.Stdin, _ = os.Open(os.DevNull) // nil fails when it is read, too
	return &Wire{in: bufio.NewReader(in), max: maxOrder, out: out, end: in.Close}, nil
}
