// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

// nobodyElse is a user that a test can run processes of this binary as.
func nobodyElse(t *testing.T) *user.User {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run a process as another user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("this system has no user nobody: %v", err)
	}
	// The user must be able to execute this binary, which lies in a private directory.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(self); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return nobody
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A child that runs as another user gets the unix sockets that its configuration
// names, also where that user could make none, and no others, however it asks.
func TestChildOfAnotherUserBorrows(t *testing.T) {
	t.Parallel()
	nobodyElse(t)
	dir := shortDir(t)
	named, other := filepath.Join(dir, "named"), filepath.Join(dir, "other")
	start := func(b behaviour) error {
		w := watch(t)
		err := w.Start(t.Context(), childSpec(t, b, func(s *Spec) { s.User = "nobody" }))
		if err == nil {
			if _, err := callServer(t.Context(), "unix", named); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	if err := start(behaviour{Listen: []string{"unix/" + named + "|0600"}, Asks: []string{"unix/@" + filepath.Base(dir)}}); err != nil {
		t.Error(err)
	}
	err := start(behaviour{Asks: []string{"unix/" + other}})
	if want := "listening on unix/" + other + ": with `user`, the path must be in the configuration"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := os.Lstat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket that it asked for: %v", err)
	}
	// One who runs as we do needs no such lending: he could do it himself.
	w := watch(t)
	w.start(childSpec(t, behaviour{Asks: []string{"unix/" + other}}))
}
