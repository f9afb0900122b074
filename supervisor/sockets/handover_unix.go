// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Handed is a held socket on its way to the program that takes this one's place in the
// same process.
type Handed struct {
	Network string `json:"network"`
	Address string `json:"address"`
	// FD is the descriptor.
	FD int `json:"fd"`
	// Dev and Ino are the file that is removed with the socket; zero is none.
	Dev uint64 `json:"dev,omitempty"`
	Ino uint64 `json:"ino,omitempty"`
	// Users are those that it is lent to.
	Users []int `json:"users"`
}

// HandOver returns what is held with descriptors of their own, which are the caller's.
func (h *Holder) HandOver() (handed []Handed, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, sock := range h.held {
		fd, err := sock.dup()
		if err != nil {
			for _, s := range handed {
				_ = unix.Close(s.FD)
			}
			return nil, fmt.Errorf("handing over socket %s: %w", key, err)
		}
		handed = append(handed, Handed{
			Network: key.network, Address: key.address, FD: fd,
			Dev: sock.unlink.dev, Ino: sock.unlink.ino, Users: slices.Sorted(maps.Keys(sock.users)),
		})
	}
	return handed, nil
}

// Adopt is [New] with the sockets that were handed over.
func Adopt(handed []Handed) *Holder {
	h := New()
	for _, s := range handed {
		sock := &socket{
			key: socketKey{s.Network, s.Address}, fd: s.FD,
			users: make(map[int]bool), unlink: fileID{s.Dev, s.Ino},
		}
		for _, user := range s.Users {
			sock.users[user] = true
		}
		h.held[sock.key] = sock
	}
	return h
}

// Inherited are the descriptors of sockets that this process was started with, and still
// has: the program that takes its place finds them under the same numbers.
func Inherited() (fds []int) {
	for fd, want := range inherited {
		if idOf(fd) == want {
			fds = append(fds, fd)
		}
	}
	return fds
}

// Disinherit says, before anything else is done, that these descriptors are no sockets
// that this process was started with, but handed over.
func Disinherit(fds []int) {
	for _, fd := range fds {
		delete(inherited, fd)
	}
}

// HandedDir is a directory for private sockets on its way to the next program.
type HandedDir struct {
	Path string `json:"path"`
	// FD is the descriptor that has it locked.
	FD int `json:"fd"`
}

// Close closes the descriptor, if the next program does not come.
func (h HandedDir) Close() { _ = unix.Close(h.FD) }

// HandOver returns the directory with a descriptor of its own, which is the caller's.
func (d *Dir) HandOver() (HandedDir, error) {
	fd, err := unix.FcntlInt(d.lock.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return HandedDir{}, fmt.Errorf("handing over directory %s: %w", d.Path, err)
	}
	return HandedDir{d.Path, fd}, nil
}

// AdoptDir goes on with a directory that was handed over.
func AdoptDir(h HandedDir) *Dir {
	return &Dir{Path: h.Path, lock: os.NewFile(uintptr(h.FD), lockName)}
}
