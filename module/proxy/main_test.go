// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"os"
	"testing"

	"github.com/caddy-broker/caddy-broker/internal/sidebyside"
)

func TestMain(m *testing.M) {
	sidebyside.Tests(8) // what calls t.Parallel waits
	os.Exit(m.Run())
}
