// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package handover

import (
	"errors"
	"os"
)

// Program is none on this system.
func Program() string { return "" }

// Become is not supported on this system, where a program cannot take another's place.
func (*State) Become(*Tried) error { return errors.ErrUnsupported }

func (*State) keep() {}

func nameless() (*os.File, error) { return nil, errors.ErrUnsupported }
