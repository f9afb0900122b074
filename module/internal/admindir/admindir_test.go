// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admindir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory is made in the first place that can be written and has a short path; the
// error names every place that was tried.
func TestAdminDirHasAPlace(t *testing.T) {
	t.Parallel()
	good, err := os.MkdirTemp("", "bases")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(good) })
	missing, long := filepath.Join(good, "missing"), filepath.Join(good, strings.Repeat("l", longestBase))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := makeDir([]string{"", missing, long, good})
	if err != nil || filepath.Dir(dir.Path) != good {
		t.Fatalf("made %v (%v), want it in %s", dir, err, good)
	}
	defer dir.Remove()
	if info, err := os.Stat(dir.Path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it is %v (%v), want it closed to others", info, err)
	}
	_, err = makeDir([]string{missing, long})
	if err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), long) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("without a place: %v", err)
	}
}
