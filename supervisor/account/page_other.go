// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package account

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Attach gives no page: this system passes no descriptors.
func Attach(*exec.Cmd) (*os.File, error) {
	return nil, fmt.Errorf("keeping an account of requests in progress beside the process: %w", errors.ErrUnsupported)
}

// Inherit finds none.
func Inherit() (*Writer, error) { return nil, nil }
