// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package sockets

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// storedPrefix begins the names of descriptors that are in the service manager's store.
const storedPrefix = "broker."

// store is the service manager's descriptor store: it keeps a copy of each socket, so
// that users queue there while this process is dead, and gives them to the next one
// as it gives sockets at a start: systemd's FDSTORE=1 and LISTEN_FDS.
var store = openStore()

// descriptorStore is what this process knows of the service manager's store.
type descriptorStore struct {
	manager string // the socket that hears notifications; empty: there is no store

	mu     sync.Mutex
	kept   map[socketKey]*socket // by mu: of an earlier process, not asked for yet
	wanted bool                  // by mu: there is a Holder
}

// plainTime is how long sockets of an earlier process are kept in a process that has
// not begun to supervise: a plain configuration opens the same addresses itself, and
// a socket that is not read would get its share of their users.
const plainTime = 5 * time.Second

func openStore() *descriptorStore {
	d := &descriptorStore{manager: os.Getenv("NOTIFY_SOCKET"), kept: make(map[socketKey]*socket)}
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return d
	}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	for i, name := range strings.Split(os.Getenv("LISTEN_FDNAMES"), ":") {
		if i < n && strings.HasPrefix(name, storedPrefix) {
			d.admit(3+i, name)
		}
	}
	if len(d.kept) > 0 {
		time.AfterFunc(plainTime, func() {
			d.mu.Lock()
			wanted := d.wanted
			d.mu.Unlock()
			if !wanted {
				d.drop()
			}
		})
	}
	return d
}

// admit takes in one socket of an earlier process. What is no socket of ours leaves
// the store.
func (d *descriptorStore) admit(fd int, name string) {
	unix.CloseOnExec(fd)
	sock, ok := parseStored(name)
	if !ok || !forUsers(fd) || d.kept[sock.key] != nil {
		_ = unix.Close(fd)
		d.forget(name)
		return
	}
	sock.fd = fd
	d.kept[sock.key] = sock
}

// has reports whether a descriptor is one of the store's.
func (d *descriptorStore) has(fd int) bool {
	for _, sock := range d.kept {
		if sock.fd == fd {
			return true
		}
	}
	return false
}

// take returns the socket of an earlier process for an address, or nil. A unix socket
// whose file is another's by now is none.
func (d *descriptorStore) take(key socketKey, perm uint32) *socket {
	d.mu.Lock()
	sock := d.kept[key]
	delete(d.kept, key)
	d.mu.Unlock()
	if sock == nil || sock.unlink == (fileID{}) {
		return sock
	}
	place, err := placeSocketFile(key.address)
	if err == nil {
		defer place.close()
		var there fileID
		if there, err = place.open(perm, -1, -1); err == nil && there == sock.unlink {
			return sock
		}
	}
	d.discard(sock)
	return nil
}

// put gives a copy of a socket to the store.
func (d *descriptorStore) put(s *socket) {
	if name := s.storedName(); d.manager != "" && name != "" {
		// It is not watched there: a listening socket may look as if it had ended.
		d.tell("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, unix.UnixRights(s.fd))
	}
}

// forget removes what has that name.
func (d *descriptorStore) forget(name string) {
	if d.manager != "" && name != "" {
		d.tell("FDSTOREREMOVE=1\nFDNAME="+name, nil)
	}
}

// drop closes and removes what was not asked for, and returns the addresses.
func (d *descriptorStore) drop() (dropped []string) {
	d.mu.Lock()
	kept := d.kept
	d.kept = make(map[socketKey]*socket)
	d.mu.Unlock()
	for key, sock := range kept {
		dropped = append(dropped, key.String())
		d.discard(sock)
	}
	slices.Sort(dropped)
	return dropped
}

func (d *descriptorStore) discard(s *socket) {
	d.forget(s.storedName())
	_ = unix.Close(s.fd)
}

// tell sends a notification. A manager that does not take it within a second goes
// without: it has fewer sockets, and this process serves.
func (d *descriptorStore) tell(text string, rights []byte) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	unix.CloseOnExec(fd)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 1})
	_ = unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: d.manager}, 0)
}

// maxStoredName is how long a name in systemd's store may be.
const maxStoredName = 255

// storedName is the socket's name in the store: its address and, for a unix socket, its
// file. It is empty for what is not put there: a socket that the service manager has
// opened itself, and one with too long a name.
func (s *socket) storedName() string {
	if s.key.network == "fd" {
		return ""
	}
	name := storedPrefix + s.key.network + "/" + url.QueryEscape(s.key.address)
	if s.unlink != (fileID{}) {
		name += fmt.Sprintf(";%d.%d", s.unlink.dev, s.unlink.ino)
	}
	if len(name) > maxStoredName {
		return ""
	}
	return name
}

// parseStored is the inverse of storedName.
func parseStored(name string) (s *socket, ok bool) {
	name, file, hasFile := strings.Cut(strings.TrimPrefix(name, storedPrefix), ";")
	network, escaped, ok := strings.Cut(name, "/")
	address, err := url.QueryUnescape(escaped)
	if !ok || err != nil || network == "" || network == "fd" {
		return nil, false
	}
	s = &socket{key: socketKey{network, address}, users: make(map[int]bool)}
	if hasFile {
		if _, err := fmt.Sscanf(file, "%d.%d", &s.unlink.dev, &s.unlink.ino); err != nil {
			return nil, false
		}
	}
	return s, true
}

// wantStored says that this process supervises.
func wantStored() {
	store.mu.Lock()
	defer store.mu.Unlock()
	store.wanted = true
}

// DropStored closes the sockets of an earlier process that were not asked for since
// this one was started, and removes them from the service manager's store: users of an
// address that is served no more shall be refused, not queue for ever. It returns their
// addresses, as [Holder.Addresses] does.
func DropStored() []string { return store.drop() }
