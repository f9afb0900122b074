// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package statefile

import "os"

// tryLock has no lock on this system, on which nothing is supervised.
func tryLock(*os.File) error { return nil }

func syncDir(string) error { return nil }
