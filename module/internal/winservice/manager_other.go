// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package winservice

import "runtime"

// Open is an error on this system, which has no services of Windows.
func Open() (Manager, error) { return nil, elsewhere(runtime.GOOS) }
