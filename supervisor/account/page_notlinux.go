// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package account

import "os"

// create makes a page.
func create() (*os.File, error) { return createFile() }
