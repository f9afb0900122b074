// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// file is the place of a unix socket: a name in a directory that is held
// open. The way there may belong to the user of a child, who could turn it into a
// link to another directory between two steps.
type socketFile struct {
	path string
	dir  int
	name string
}

func placeSocketFile(path string) (*socketFile, error) {
	parent, name := filepath.Split(path)
	if parent == "" {
		parent = "."
	}
	dir, err := unix.Open(parent, searchOnly|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening directory of socket %s: %w", path, err)
	}
	return &socketFile{path: path, dir: dir, name: name}, nil
}

func (f *socketFile) close() { _ = unix.Close(f.dir) }

// clear removes a socket on which nobody listens, as one is left behind by a
// program that was killed. One of this process's own may still serve: a reload
// moves it. For a child that runs as somebody else, uid, nothing that serves is
// removed, and nothing that is a third user's.
func (f *socketFile) clear(ctx context.Context, uid int) error {
	var old unix.Stat_t
	err := unix.Fstatat(f.dir, f.name, &old, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking for an old socket %s: %w", f.path, err)
	case old.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return nil // binding says what is wrong
	}
	us := os.Geteuid()
	if err := f.await(ctx, uid == us); err != nil {
		return err
	}
	if owner := int(old.Uid); uid != us && owner != us && owner != uid {
		return fmt.Errorf("listening on unix/%s: an old socket of user %d is there; remove it if nobody needs it: %w", f.path, owner, unix.EADDRINUSE)
	}
	if err := unix.Unlinkat(f.dir, f.name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing old socket %s: %w", f.path, err)
	}
	return nil
}

// await returns when nobody listens on the socket, or nobody but this process if own
// allows that, or with the error that names who does.
func (f *socketFile) await(ctx context.Context, own bool) error {
	pid := 0
	free := awaitFree(ctx, func() bool {
		var taken bool
		taken, pid = served(f.here())
		return !taken || own && pid == os.Getpid()
	})
	if !free {
		return servedError(f.path, pid)
	}
	return nil
}

func servedError(path string, pid int) error {
	return fmt.Errorf("listening on unix/%s: %s listens there already; stop it, or use another path: %w", path, processName(pid), unix.EADDRINUSE)
}

// served reports whether anyone listens on a unix socket, and the process, 0 if it is
// not known. Only a connection that is refused proves that nobody does.
func served(path string) (served bool, pid int) {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return !errors.Is(err, unix.ECONNREFUSED), 0
	}
	defer conn.Close()
	if uc, ok := conn.(*net.UnixConn); ok {
		pid = listenerPID(uc)
	}
	return true, pid
}

// open sets the permissions of the socket that this process has just made there,
// gives it to a user and group (-1 keeps it), and identifies it. Whatever else was
// put in its place is left alone.
func (f *socketFile) open(perm uint32, uid, gid int) (fileID, error) {
	var made unix.Stat_t
	err := f.change(perm, uid, gid, func(there *unix.Stat_t) error {
		if there.Mode&unix.S_IFMT != unix.S_IFSOCK || int(there.Uid) != os.Geteuid() || there.Nlink != 1 {
			return errors.New("something else was put in its place")
		}
		made = *there
		return nil
	})
	if err != nil {
		return fileID{}, fmt.Errorf("unable to set permissions (%s) on %s: %w", fs.FileMode(perm), f.path, err)
	}
	return fileIDOf(&made), nil
}

// remove removes the file if it is still the one that was made.
func (f *socketFile) remove(made fileID) {
	var there unix.Stat_t
	if unix.Fstatat(f.dir, f.name, &there, unix.AT_SYMLINK_NOFOLLOW) == nil && fileIDOf(&there) == made {
		_ = unix.Unlinkat(f.dir, f.name, 0)
	}
}

func fileIDOf(st *unix.Stat_t) fileID {
	return fileID{uint64(st.Dev), st.Ino} //nolint:unconvert // a device has another type elsewhere
}
