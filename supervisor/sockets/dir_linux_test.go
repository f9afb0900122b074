// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What a process left that has ended is removed, and nothing that is in use.
func TestStaleDirectories(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	live, err := MakeDir(base, "p-")
	if err != nil {
		t.Fatal(err)
	}
	defer live.Remove()
	dead, err := MakeDir(base, "p-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead.Path, "1.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Close() // as the end of its process does
	for _, other := range []string{"q-1", "p-unlocked", "p-link"} {
		if err := os.Mkdir(filepath.Join(base, other), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "q-1", lockName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(base, "q-1", lockName), filepath.Join(base, "p-link", lockName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("q-1", filepath.Join(base, "p-to-q")); err != nil {
		t.Fatal(err)
	}
	if removed := RemoveStale(base, "p-"); !slices.Equal(removed, []string{dead.Path}) {
		t.Errorf("removed were %v, want %s", removed, dead.Path)
	}
	for _, path := range []string{live.Path, filepath.Join(base, "q-1"), filepath.Join(base, "p-unlocked"), filepath.Join(base, "p-link"), filepath.Join(base, "p-to-q")} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(dead.Path); err == nil {
		t.Error("it is there")
	}
}
