// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"net"
	"strings"
	"testing"
)

// A stream that never ends a line is given up.
func TestEndlessLine(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		for {
			if _, err := b.Write([]byte(strings.Repeat("x", 1000))); err != nil {
				return
			}
		}
	}()
	defer b.Close()
	err := follow(t.Context(), a, a, func(string, []byte) { t.Error("an event came of it") })
	if !errors.Is(err, errStreamBroken) {
		t.Errorf("error %v", err)
	}
}
