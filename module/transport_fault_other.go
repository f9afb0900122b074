// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package module

import (
	"errors"
	"syscall"
)

// The errors of Windows sockets for no descriptor, no port and no memory.
const (
	wsaEMFILE        = syscall.Errno(10024)
	wsaEADDRNOTAVAIL = syscall.Errno(10049)
	wsaENOBUFS       = syscall.Errno(10055)
)

func isLocalFault(err error) bool {
	return errors.Is(err, wsaEMFILE) || errors.Is(err, wsaEADDRNOTAVAIL) || errors.Is(err, wsaENOBUFS)
}
