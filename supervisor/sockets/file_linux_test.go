// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// listensMain listens on the unix socket that its argument names, and says its id.
func listensMain() int {
	ln, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	fmt.Println(os.Getpid())
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = ln.Close()
	return 0
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

// impatient waits for a moment for what is not going to happen.
func impatient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lastBreath/20)
	t.Cleanup(cancel)
	return ctx
}

// lendUnix asks a new holder of sockets for one, on behalf of a process of uid.
func lendUnix(t *testing.T, uid int, path string, perm uint32) error {
	t.Helper()
	return lendUnixWithin(t.Context(), t, uid, path, perm)
}

func lendUnixWithin(ctx context.Context, t *testing.T, uid int, path string, perm uint32) error {
	t.Helper()
	s := New()
	t.Cleanup(s.CloseAll)
	fd, err := s.Lend(ctx, 1, uid, "unix", path, perm)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// A socket on which another program serves stays his; once he is dead it does not.
func TestUnixSocketInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	pid, end := otherProgram(t, "listens", nil, path)
	if err := lendUnixWithin(impatient(t), t, os.Getuid(), path, 0o600); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path+": process "+pid+" (") {
		t.Errorf("while another program serves: %v", err)
	}
	if err := Available(impatient(t), "unix", path); err == nil || !strings.Contains(err.Error(), pid) {
		t.Errorf("while another program serves, it is available: %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the other's socket: %v", err)
	} else {
		_ = conn.Close()
	}
	end()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	if err := lendUnix(t, os.Getuid(), path, 0o600); err != nil {
		t.Errorf("when nobody serves: %v", err)
	}
}

// One child of this process may take a socket over from another one, as when a
// reload moves a site. For one that runs as another user that is refused.
func TestUnixSocketOfOurOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	for range 2 {
		if err := lendUnix(t, os.Getuid(), path, 0o600); err != nil {
			t.Error(err)
		}
	}
	if err := lendUnixWithin(impatient(t), t, os.Getuid()+1, path, 0o600); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("for another user: %v", err)
	}
}

// For a child that runs as another user, an old socket must be his or ours.
func TestUnixSocketOfAThirdUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	const child, third = 12345, 23456
	path := filepath.Join(shortDir(t), "s")
	for _, c := range []struct {
		uid, owner int
		want       string
	}{
		{child, third, "an old socket of user 23456 is there"}, {child, child, ""}, {child, 0, ""}, {0, third, ""},
	} {
		_, end := otherProgram(t, "listens", nil, path)
		end()
		if err := os.Chown(path, c.owner, -1); err != nil {
			t.Fatal(err)
		}
		err := lendUnix(t, c.uid, path, 0o600)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("for a child of user %d, of user %d: error %v, want %q", c.uid, c.owner, err, c.want)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A child chooses the permissions, nothing else of the mode.
func TestUnixSocketPermissions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	if err := lendUnix(t, os.Getuid(), path, 0o7750); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode != unix.S_IFSOCK|0o750 {
		t.Errorf("mode %o (%v)", st.Mode, err)
	}
}

// Somebody who owns the directory may put something in the socket's place before
// its permissions are set and it is given to him; others' files do not change.
func TestUnixSocketReplaced(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	secret, socket, path := filepath.Join(dir, "secret"), filepath.Join(dir, "socket"), filepath.Join(dir, "s")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lendUnix(t, os.Getuid(), socket, 0o600); err != nil {
		t.Fatal(err)
	}
	place, err := placeSocketFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer place.close()
	for what, put := range map[string]func() error{
		"link":                func() error { return os.Symlink(secret, path) },
		"link to a socket":    func() error { return os.Symlink(socket, path) },
		"second name":         func() error { return os.Link(secret, path) },
		"name of a socket":    func() error { return os.Link(socket, path) },
		"nothing":             func() error { return nil },
		"directory":           func() error { return os.Mkdir(path, 0o700) },
		"a file of one's own": func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if _, err := place.open(0o777, os.Getuid()+1, -1); err == nil {
			t.Errorf("%s: no error", what)
		}
		for _, file := range []string{secret, socket} {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; info.Mode().Perm() != 0o600 || int(uid) != os.Getuid() {
				t.Errorf("%s: the other's file is %v of user %d", what, info.Mode(), uid)
			}
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
