// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package sidebyside lets a package run more of its tests at once than there are
// processors.
//
// Its guarantee: what the command line says of -parallel holds. It is for tests
// that call t.Parallel and wait, for processes or for time, rather than compute.
// Only tests use it.
package sidebyside

import (
	"flag"
	"strconv"
)

// Tests lets n tests run at once unless the command line gives a number. It is
// called in TestMain, before the tests run.
func Tests(n int) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
}
