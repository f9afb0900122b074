// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package relay

import "errors"

func pair() (reader, replaced int, err error) { return -1, -1, errors.ErrUnsupported }

func dup(int) (int, error) { return -1, errors.ErrUnsupported }

func closeFD(int) {}
