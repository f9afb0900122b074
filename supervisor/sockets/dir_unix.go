// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file in a directory for private sockets that its process has locked.
const lockName = "lock"

// Dir is a directory for private sockets. The lock on a file in it ends with this
// process, however that ends, so that the next one finds what was left.
type Dir struct {
	Path string
	lock *os.File
}

// MakeDir makes a directory in base that only this user can enter, whose name begins
// with prefix.
func MakeDir(base, prefix string) (*Dir, error) {
	path, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path}
	// It has its name only when it is locked: what has none is being made.
	making := filepath.Join(path, "."+lockName)
	if d.lock, err = os.OpenFile(making, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err == nil {
		if err = unix.Flock(int(d.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			err = os.Rename(making, filepath.Join(path, lockName))
		}
	}
	if err != nil {
		d.Remove()
		return nil, err
	}
	return d, nil
}

// Remove removes the directory with all that is in it.
func (d *Dir) Remove() {
	_ = os.RemoveAll(d.Path)
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// RemoveStale removes the directories that processes which have ended made with
// MakeDir in base, and returns them.
func RemoveStale(base, prefix string) (removed []string) {
	entries, _ := os.ReadDir(base)
	for _, e := range entries {
		path := filepath.Join(base, e.Name())
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) && stale(filepath.Join(path, lockName)) && os.RemoveAll(path) == nil {
			removed = append(removed, path)
		}
	}
	return removed
}

// stale reports whether a lock has no owner any more. Another user's is not ours to say:
// nothing of it is opened by way of a link, nor waited for.
func stale(path string) bool {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var file unix.Stat_t
	if unix.Fstat(fd, &file) != nil || file.Mode&unix.S_IFMT != unix.S_IFREG || int(file.Uid) != os.Geteuid() {
		return false
	}
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil
}
