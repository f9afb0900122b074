// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Only the process that is meant is reached, and no link leads to another socket.
func TestDialPrivate(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "dp") // t.TempDir() is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	ln, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := os.Symlink("socket", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		pid  int
		want string // in the error; empty is none
	}{
		{"socket", os.Getpid(), ""},
		{"socket", 1, "not process 1"},
		{"link", os.Getpid(), "no socket"},
		{"file", os.Getpid(), "no socket"},
		{"nothing", os.Getpid(), "no such file"},
		{"nowhere/socket", os.Getpid(), "no such file"},
	} {
		conn, err := DialPrivate(t.Context(), at(c.name), c.pid)
		if err == nil {
			_ = conn.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s of process %d: %v, want %q", c.name, c.pid, err, c.want)
		}
	}
}
