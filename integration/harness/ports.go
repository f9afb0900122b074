// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports that clients are not given by the kernel: a dead backend's port must not
// become the local end of a connection before it is started again.
const (
	lowestPort  = 12000
	highestPort = 32000
)

var (
	portsMu   sync.Mutex
	portsUsed = map[int]bool{} // by portsMu; what FreePort gave away
)

// FreePort returns a port on 127.0.0.1 that is not listened on, another one each
// time.
func FreePort() (string, error) {
	portsMu.Lock()
	defer portsMu.Unlock()
	var last error
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if portsUsed[port] {
			continue
		}
		if last = PortFree(strconv.Itoa(port)); last != nil {
			continue
		}
		portsUsed[port] = true
		return strconv.Itoa(port), nil
	}
	return "", fmt.Errorf("finding a free port: %w", last)
}

// PortFree returns nil when the port is not listened on, on any address.
func PortFree(port string) error {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	return l.Close()
}
