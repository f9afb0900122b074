// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// ListenPrivate opens a datagram socket at path, in place of what is there, to which
// only the user uid with the group gid can write; -1 is this process's. Neither Close
// of the connection nor anything else here removes the file.
func ListenPrivate(path string, uid, gid int) (*net.UnixConn, error) {
	// The directory may be the user's.
	place, err := placeSocketFile(path)
	if err != nil {
		return nil, err
	}
	defer place.close()
	if err := unix.Unlinkat(place.dir, place.name, 0); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if _, err := place.open(0o600, uid, gid); err != nil {
		_ = conn.Close()
		_ = os.Remove(path)
		return nil, err
	}
	return conn, nil
}
