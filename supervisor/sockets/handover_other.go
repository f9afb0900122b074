// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package sockets

import "errors"

// HandedDir is nothing on this system, where nothing is handed over.
type HandedDir struct{}

// Close has nothing to close.
func (HandedDir) Close() {}

// HandOver is not supported on this system.
func (*Dir) HandOver() (HandedDir, error) { return HandedDir{}, errors.ErrUnsupported }

// AdoptDir is never called on this system.
func AdoptDir(HandedDir) *Dir { return new(Dir) }
