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
	if v, err := new(State).Try(t.Context(), script(`echo some line; echo '{"caddy_broker":"v1"}'`)); err != nil || v.Version != "v1" {
		t.Errorf("a good one: %+v, %v", v, err)
	}
}

// TestProgramReplacedAfterItsTrial: only what was tried is executed. What is put there
// here cannot be, so that this test goes on if it is tried.
func TestProgramReplacedAfterItsTrial(t *testing.T) {
	t.Parallel()
	good := []byte("#!/bin/sh\necho '{\"caddy_broker\":\"v1\"}'\n")
	for name, replace := range map[string]func(path string) error{
		"another file": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", good, 0o600), os.Rename(path+".new", path))
		},
		"written into": func(path string) error {
			return errors.Join(os.WriteFile(path, good[:20], 0o600), os.Chmod(path, 0o600))
		},
		"removed": os.Remove,
	} {
		path := filepath.Join(t.TempDir(), "caddy")
		if err := os.WriteFile(path, good, 0o700); err != nil {
			t.Fatal(err)
		}
		tried, err := new(State).Try(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := tried.Still(); err != nil {
			t.Errorf("%s: before that: %v", name, err)
		}
		if err := replace(path); err != nil {
			t.Fatal(err)
		}
		err = new(State).Become(tried)
		if removed := errors.Is(err, os.ErrNotExist); err == nil || !removed && !strings.Contains(err.Error(), "replaced after it was tried") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
