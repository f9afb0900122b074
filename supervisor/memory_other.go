// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package supervisor

import "os"

// This system is not asked.

func memoryOf(int) (now, peak int64) { return 0, 0 }
func peakOf(*os.ProcessState) int64  { return 0 }
func oomKills() (n int64, ok bool)   { return 0, false }
