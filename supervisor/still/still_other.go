// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package still

import "time"

// Watch finds nothing out on this system.
func Watch(int, time.Duration, func() bool) Finding { return Lives }
