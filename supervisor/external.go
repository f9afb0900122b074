// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"strings"
)

// CheckListen tells whether addresses are what an external program can be given:
// "network/address" with a network that this holder opens.
func CheckListen(addresses []string) error {
	for _, a := range addresses {
		if _, _, err := splitListen(a); err != nil {
			return err
		}
	}
	return nil
}

func splitListen(address string) (network, rest string, err error) {
	network, rest, found := strings.Cut(address, "/")
	if !found {
		return "tcp", address, nil
	}
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix", "fd":
		return network, rest, nil
	}
	return "", "", fmt.Errorf("listen %s: network %q is none of tcp, tcp4, tcp6, udp, udp4, udp6, unix, fd", address, network)
}
