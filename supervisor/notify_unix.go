// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// notifySocket is where a program reports its state in systemd's form.
type notifySocket struct {
	path string
	conn *net.UnixConn
}

func listenNotify(path, user string) (*notifySocket, error) {
	var owner Identity
	if user != "" {
		var err error
		if owner, err = LookupUser(user); err != nil {
			return nil, fmt.Errorf("opening notify socket: %w", err)
		}
	}
	if err := unix.Unlink(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("opening notify socket: %w", err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("opening notify socket: %w", err)
	}
	n := &notifySocket{path: path, conn: conn}
	if user == "" {
		return n, nil
	}
	if err := n.give(owner); err != nil {
		n.Close()
		return nil, fmt.Errorf("opening notify socket: %w", err)
	}
	return n, nil
}

// give makes owner own the socket. Its directory may be his: what he puts there
// in the socket's place must not lead to a file that is not his.
func (n *notifySocket) give(owner Identity) error {
	return os.Lchown(n.path, int(owner.UID), int(owner.GID))
}

// Close ends the socket; nil has none.
func (n *notifySocket) Close() {
	if n != nil {
		_ = n.conn.Close()
		_ = os.Remove(n.path)
	}
}

// hearNotify reads a program's notifications until its socket is closed.
func (s *Supervisor) hearNotify(p *process, n *notifySocket) {
	defer close(p.heard)
	if n == nil {
		return
	}
	buf := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		for _, in := range notifications(p.id, string(buf[:size])) {
			s.put(in)
		}
	}
}

// notifications are the inputs that one message means. What we do not know is for
// other service managers.
func notifications(id int, text string) []input {
	var out []input
	for line := range strings.Lines(text) {
		switch strings.TrimRight(line, "\n") {
		case "READY=1":
			out = append(out, inReady{id})
		case "WATCHDOG=1":
			out = append(out, inBeat{id})
		case "WATCHDOG=trigger":
			out = append(out, inHung{id})
		}
	}
	return out
}
