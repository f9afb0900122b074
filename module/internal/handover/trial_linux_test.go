// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTrialIsBounded: a program that says too much, or nothing for too long, is refused,
// and costs neither memory nor more time than it gets.
func TestTrialIsBounded(t *testing.T) {
	t.Parallel()
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "caddy")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, err := new(State).Try(t.Context(), script(`head -c 20000000 /dev/zero | tr '\0' 'x' >&2; echo the end >&2; exit 1`))
	if err == nil || len(err.Error()) > 2*maxReason || !strings.Contains(err.Error(), "it says") {
		t.Errorf("it says too much: %.300v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begun := time.Now()
	if _, err = new(State).Try(ctx, script(`echo '{"caddy_broker":"never"}'; exec sleep 600`)); err == nil || !strings.Contains(err.Error(), "has not said") {
		t.Errorf("it does not end: %v", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it was waited for for %s", took)
	}
	if _, err = new(State).Try(t.Context(), filepath.Join(t.TempDir(), "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is not there: %v", err)
	}
	if v, err := new(State).Try(t.Context(), script(`echo some line; echo '{"caddy_broker":"v1"}'`)); err != nil || v != "v1" {
		t.Errorf("a good one: %q, %v", v, err)
	}
}
