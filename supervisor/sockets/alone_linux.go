// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// errOurs says that an address is taken by this process and its children alone.
var errOurs = errors.New("this process has the address")

// openNet opens a socket of which no other program has a share. Own ones may be on the
// same port: a wildcard beside an address, or those of a plain configuration that this
// process leaves.
func openNet(ctx context.Context, network, address string) (netSocket, error) {
	sock, err := openAlone(ctx, network, address)
	if errors.Is(err, errOurs) {
		return listenNet(ctx, &net.ListenConfig{Control: reusePort}, network, address)
	}
	if err != nil {
		return nil, err
	}
	// From now on sockets of the same user may join, such as own ones.
	raw, err := sock.SyscallConn()
	if err == nil {
		err = reusePort(network, address, raw)
	}
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	return sock, nil
}

// openAlone binds without SO_REUSEPORT: that fails if anyone else has the address, with
// or without that option, so the address itself is the lock.
func openAlone(ctx context.Context, network, address string) (sock netSocket, err error) {
	awaitFree(ctx, func() (over bool) {
		if sock, err = listenNet(ctx, new(net.ListenConfig), network, address); !errors.Is(err, unix.EADDRINUSE) {
			return true
		}
		pid, other := occupant(network, err)
		if !other {
			err = errOurs
			return true
		}
		err = fmt.Errorf("%w: %s has it; stop that, or use another address", err, processName(pid))
		// What is not this program is no child that leaves.
		return pid != 0 && programName(pid) != programName(os.Getpid())
	})
	return sock, err
}

// Available returns why this process cannot be the only one that listens on an address,
// or nil if it can, or does already. It opens the address for a moment.
func Available(ctx context.Context, network, address string) error {
	switch {
	case strings.HasPrefix(network, "tcp"), strings.HasPrefix(network, "udp"):
		sock, err := openAlone(ctx, network, address)
		switch {
		case errors.Is(err, errOurs):
			return nil
		case err != nil:
			return err
		}
		return sock.Close()
	case network == "unix":
		pid := 0
		free := awaitFree(ctx, func() bool {
			_, pid = served(address)
			return pid == 0 || pid == os.Getpid()
		})
		if !free {
			return servedError(address, pid)
		}
	}
	return nil
}
