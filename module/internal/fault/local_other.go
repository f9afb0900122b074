// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package fault

import (
	"errors"
	"syscall"
)

// The errors of Windows sockets for no descriptor, no port, no memory, and for a
// port on which nobody listens.
const (
	wsaEMFILE        = syscall.Errno(10024)
	wsaEADDRNOTAVAIL = syscall.Errno(10049)
	wsaENOBUFS       = syscall.Errno(10055)
	wsaECONNREFUSED  = syscall.Errno(10061)
)

// IsRefusal reports whether the host of a backend has said that nothing listens there.
func IsRefusal(err error) bool { return errors.Is(err, wsaECONNREFUSED) }

// IsLocal reports whether an error is a fault of this machine: descriptors, ports, memory.
func IsLocal(err error) bool {
	return errors.Is(err, wsaEMFILE) || errors.Is(err, wsaEADDRNOTAVAIL) || errors.Is(err, wsaENOBUFS)
}
