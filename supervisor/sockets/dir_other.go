// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package sockets

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// CheckPrivate returns why this system has no private sockets, or nil.
func CheckPrivate() error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil // what makes a directory says it
	}
	defer os.RemoveAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "try"))
	if err != nil {
		return fmt.Errorf("trying a unix socket: %w; Windows has them from version 1803 and Server 2019 on: %w", err, errors.ErrUnsupported)
	}
	return ln.Close()
}

// Dir is a directory for private sockets.
type Dir struct{ Path string }

// MakeDir makes a directory in base that only this user can enter, whose name begins
// with prefix.
func MakeDir(base, prefix string) (*Dir, error) {
	path, err := os.MkdirTemp(base, prefix)
	return &Dir{path}, err
}

// Remove removes the directory with all that is in it.
func (d *Dir) Remove() { _ = os.RemoveAll(d.Path) }

// RemoveStale removes nothing: this system does not tell which process made what.
func RemoveStale(string, string) []string { return nil }
