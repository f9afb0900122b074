// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// DialPrivate connects to a unix socket on which process pid listens. The directory may
// be of that process's user, who could put another socket there, or a link to one: no
// link is followed at the path's end, and a socket of any other process is an error.
func DialPrivate(ctx context.Context, path string, pid int) (net.Conn, error) {
	place, err := placeSocketFile(path)
	if err != nil {
		return nil, err
	}
	defer place.close()
	fd, err := unix.Openat(place.dir, place.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("connecting to unix/%s: %w", path, err)
	}
	defer unix.Close(fd)
	var there unix.Stat_t
	if err := unix.Fstat(fd, &there); err != nil {
		return nil, fmt.Errorf("connecting to unix/%s: %w", path, err)
	}
	if there.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("connecting to unix/%s: it is no socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, fmt.Errorf("connecting to unix/%s: %w", path, err)
	}
	if peer := listenerPID(conn.(*net.UnixConn)); peer != pid {
		_ = conn.Close()
		return nil, fmt.Errorf("connecting to unix/%s: process %d listens there, not process %d", path, peer, pid)
	}
	return conn, nil
}
