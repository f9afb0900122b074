// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inheritsMain tells what it is lent of the descriptors that it was started with,
// of those that it opened itself, and of one whose number was used again.
func inheritsMain() int {
	s := New()
	got := make(map[string]string)
	ask := func(what string, fd int) {
		lent, err := s.Lend(context.Background(), 1, os.Getuid(), "fd", strconv.Itoa(fd), 0)
		switch {
		case err != nil:
			got[what] = err.Error()
		case idOf(lent) != idOf(fd):
			got[what] = "another file"
		default:
			got[what] = "lent"
		}
	}
	for i, what := range inheritedKinds {
		ask(what, 3+i)
	}
	if flags, err := unix.FcntlInt(3, unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC != 0 {
		got["children"] = "inherit nothing"
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		panic(err)
	}
	ask("own", int(file.Fd()))
	again := 3 + len(inheritedKinds)
	if err := unix.Dup2(int(file.Fd()), again); err != nil {
		panic(err)
	}
	ask("used again", again)
	line, _ := json.Marshal(got)
	fmt.Println(string(line))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// inheritedKinds are the files that inheritsMain gets, one more listener follows.
var inheritedKinds = []string{"listener", "packets", "file", "connection"}

// A child is lent the sockets that this process was started with, and of no other
// descriptor of this process a copy: not of its files and control connections, and
// not of what has taken a number later.
func TestInheritedDescriptors(t *testing.T) {
	t.Parallel()
	fileOf := func(c any, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.(io.Closer).Close() })
		file, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	listener := fileOf(ln, err)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	packets := fileOf(pc, err)
	conn, err := net.Dial("tcp", ln.Addr().String())
	connection := fileOf(conn, err)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	line, _ := otherProgram(t, "inherits", []*os.File{listener, packets, null, connection, listener})
	var got map[string]string
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	const refused = "it is no listening or datagram socket that the broker was started with"
	for what, want := range map[string]string{
		"listener": "lent", "packets": "lent",
		"children": "inherit nothing",
		"file":     refused, "connection": refused, "own": refused, "used again": refused,
	} {
		if !strings.Contains(got[what], want) {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
}
