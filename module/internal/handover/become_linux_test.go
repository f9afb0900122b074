// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLimitAfterFailedExecution: a program that cannot be executed costs this one none of
// the files that it may open.
func TestLimitAfterFailedExecution(t *testing.T) {
	t.Parallel()
	const limited = "HANDOVER_TEST_LIMITED"
	if os.Getenv(limited) == "" { // with a soft limit that Go raises when it starts
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `ulimit -S -n 64 && exec "$0" -test.run='^TestLimitAfterFailedExecution$'`, self)
		cmd.Env = append(os.Environ(), limited+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := (&Tried{program: filepath.Join(t.TempDir(), "gone")}).execute(nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("executing what is not there: %v", err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after); err != nil {
		t.Fatal(err)
	}
	if before.Cur <= 64 || after != before {
		t.Errorf("it may open %d files, and could open %d before", after.Cur, before.Cur)
	}
}
