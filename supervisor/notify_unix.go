// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
	"github.com/caddy-broker/caddy-broker/supervisor/users"
)

// notifySocket is where a program reports its state in systemd's form.
type notifySocket struct {
	path string
	conn *net.UnixConn
}

func listenNotify(path, user string) (n *notifySocket, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opening notify socket: %w", err)
		}
	}()
	uid, gid := -1, -1
	if user != "" {
		owner, err := users.Lookup(user)
		if err != nil {
			return nil, err
		}
		uid, gid = int(owner.UID), int(owner.GID)
	}
	conn, err := sockets.ListenPrivate(path, uid, gid)
	if err != nil {
		return nil, err
	}
	return &notifySocket{path: path, conn: conn}, nil
}

// Close ends the socket; nil has none.
func (n *notifySocket) Close() {
	if n != nil {
		_ = n.conn.Close()
		_ = os.Remove(n.path)
	}
}

// maxNotification bounds one message of a program, in bytes.
const maxNotification = 4096

// hearNotify reads a program's notifications until its socket is closed.
func (s *Supervisor) hearNotify(p *process, n *notifySocket) {
	defer close(p.heard)
	if n == nil {
		return
	}
	buf := make([]byte, maxNotification)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		for _, in := range notifications(p.id, string(buf[:size])) {
			if _, ready := in.(inReady); ready {
				in = p.ready()
			}
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
			out = append(out, inReady{id: id})
		case "WATCHDOG=1":
			out = append(out, inBeat{id})
		case "WATCHDOG=trigger":
			out = append(out, inHung{id})
		}
	}
	return out
}
