// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
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

// lastBreath is how long the child of a parent that was killed may take to leave
// the sockets to the next parent.
const lastBreath = time.Second

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
func (f *socketFile) clear(uid int) error {
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
	for end := time.Now().Add(lastBreath); ; <-time.After(lastBreath / 20) {
		served, ours := f.served()
		if !served || ours && uid == us {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("listening on unix/%s: somebody listens there already; stop it, or use another path: %w", f.path, unix.EADDRINUSE)
		}
	}
	if owner := int(old.Uid); uid != us && owner != us && owner != uid {
		return fmt.Errorf("listening on unix/%s: an old socket of user %d is there; remove it if nobody needs it: %w", f.path, owner, unix.EADDRINUSE)
	}
	if err := unix.Unlinkat(f.dir, f.name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing old socket %s: %w", f.path, err)
	}
	return nil
}

// served tells whether somebody listens on the socket, and whether that is this
// process. Only a connection that is refused proves that nobody does.
func (f *socketFile) served() (served, ours bool) {
	conn, err := net.DialTimeout("unix", f.here(), time.Second)
	if err != nil {
		return !errors.Is(err, unix.ECONNREFUSED), false
	}
	defer conn.Close()
	uc, ok := conn.(*net.UnixConn)
	return true, ok && listenerPID(uc) == os.Getpid()
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
