// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package sockets

import "os"

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
