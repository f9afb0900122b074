// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package control

import (
	"os"
	"testing"
)

func TestConnectWithoutParent(t *testing.T) {
	if _, _, err := Connect(); err == nil || err != ErrNoParent { //nolint:errorlint // exactly this one
		t.Errorf("error %v, want %v", err, ErrNoParent)
	}
	for _, value := range []string{"", "x", "-1", "0", "2", "900"} {
		t.Setenv(Env, value)
		if _, _, err := Connect(); err == nil {
			t.Errorf("connected to descriptor %q", value)
		}
		if _, ok := os.LookupEnv(Env); ok {
			t.Errorf("%s=%q is still set", Env, value)
		}
	}
}
