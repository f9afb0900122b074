// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// aliveTime is how long a program must have run to count as ready, when neither
// it nor its sockets can tell.
const aliveTime = time.Second

// CheckListen reports whether addresses are what an external program can be given:
// "network/address" with a network of which sockets can be opened here.
func CheckListen(addresses []string) error {
	for _, a := range addresses {
		if _, _, _, err := splitListen(a); err != nil {
			return err
		}
	}
	return nil
}

// defaultPerm is what a unix socket gets that says nothing, as everywhere in Caddy.
const defaultPerm os.FileMode = 0o200

// splitListen reads "network/address". Without a network it is tcp; the address
// of a unix socket may end in "|" and its permission bits.
func splitListen(address string) (network, rest string, perm os.FileMode, err error) {
	network, rest, found := strings.Cut(address, "/")
	if !found {
		network, rest = "tcp", address
	}
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		_, port, splitErr := net.SplitHostPort(rest)
		if _, numErr := strconv.ParseUint(port, 10, 16); splitErr != nil || numErr != nil {
			return "", "", 0, fmt.Errorf("listen %s: %q is not a host and one port: write %s/127.0.0.1:9000", address, rest, network)
		}
		return network, rest, 0, nil
	case "fd":
		if _, err := strconv.ParseUint(rest, 10, 16); err != nil {
			return "", "", 0, fmt.Errorf("listen %s: %q is not the number of a descriptor", address, rest)
		}
		return network, rest, 0, nil
	case "unix":
		path, bits, found := strings.Cut(rest, "|")
		if path == "" {
			return "", "", 0, fmt.Errorf("listen %s: there is no path", address)
		}
		if !found {
			return network, path, defaultPerm, nil
		}
		mode, err := strconv.ParseUint(bits, 8, 9)
		if err != nil {
			return "", "", 0, fmt.Errorf("listen %s: permission bits %q are not an octal number up to 777", address, bits)
		}
		return network, path, os.FileMode(mode), nil
	}
	return "", "", 0, fmt.Errorf("listen %s: network %q is none of tcp, tcp4, tcp6, udp, udp4, udp6, unix, fd", address, network)
}
