// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"flag"
	"fmt"
	"os"
)

// Main is the program that compares by run, which returns how many differences are not
// documented. Its exit code is 0 for none, 1 for some, and 2 if it could not compare.
func Main(run func() (faults int, err error)) {
	flag.Parse()
	faults, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if faults > 0 {
		fmt.Printf("%d differences are not documented\n", faults)
		os.Exit(1)
	}
}
