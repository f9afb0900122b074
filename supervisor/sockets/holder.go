// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Holder holds the listening sockets that children use. The first child that
// asks for an address makes it open; every child gets a descriptor of the same
// socket. A socket outlives its users: while no child accepts, connections wait
// in its queue. It is closed when the owner sweeps and no living child uses it,
// or with all the others.
type Holder struct {
	opening sync.Mutex // held while a socket is opened, before mu

	mu   sync.Mutex
	held map[socketKey]*socket // by mu
	shut bool                  // by mu; nothing is opened until Open
}

type socketKey struct{ network, address string }

func (k socketKey) String() string { return k.network + "/" + k.address }

type socket struct {
	key    socketKey
	fd     int
	users  map[int]bool
	unlink fileID // the socket file to remove in the end; zero is none
}

// fileID tells a file from a later one with the same path or descriptor.
type fileID struct{ dev, ino uint64 }

// New holds nothing yet. From now on no process that is started from this one inherits
// the sockets that this process was started with.
//
// Where the service manager keeps descriptors (systemd's FileDescriptorStoreMax), it
// gets a copy of each socket that is opened, until that is closed; what it kept for an
// earlier process is lent before anything is opened, and [DropStored] closes the rest.
func New() *Holder {
	keepFromChildren()
	wantStored()
	return &Holder{held: make(map[socketKey]*socket)}
}

// ErrShut says that everything was closed and nothing may be opened.
var ErrShut = errors.New("the broker is stopping")

// Lend returns a descriptor of the socket for network and address, which it opens
// if need be, and notes that user uses it. The descriptor is the caller's. The
// error is the system's, as a listener of one's own would get it.
//
// The user is a process that runs as uid. One that runs as another user than this
// process is not lent what it takes from others (see [file.clear]). Of perm,
// a unix socket's, only the nine permission bits count.
//
// Finding out what a host's name means may take its time; it ends with ctx, and
// meanwhile only those wait that want another socket opened.
func (h *Holder) Lend(ctx context.Context, user, uid int, network, address string, perm uint32) (int, error) {
	key := socketKey{network, address}
	if fd, err := h.lendHeld(user, key); !errors.Is(err, errNotHeld) {
		return fd, err
	}
	h.opening.Lock()
	defer h.opening.Unlock()
	if fd, err := h.lendHeld(user, key); !errors.Is(err, errNotHeld) {
		return fd, err
	}
	sock, err := openSocket(ctx, key, uid, perm&0o777)
	if err != nil {
		return -1, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		sock.close()
		return -1, ErrShut
	}
	h.held[key] = sock
	return sock.lend(user)
}

var errNotHeld = errors.New("the socket is not open")

// lendHeld lends a socket that is held already.
func (h *Holder) lendHeld(user int, key socketKey) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch sock := h.held[key]; {
	case sock != nil:
		return sock.lend(user)
	case h.shut:
		return -1, ErrShut
	default:
		return -1, errNotHeld
	}
}

func (s *socket) lend(user int) (int, error) {
	s.users[user] = true
	return s.dup()
}

// Open allows sockets to be opened again after CloseAll.
func (h *Holder) Open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shut = false
}

// look returns a descriptor of a held socket, which is the caller's.
func (h *Holder) look(network, address string) (fd int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sock := h.held[socketKey{network, address}]
	if sock == nil {
		return -1, false
	}
	fd, err := sock.dup()
	return fd, err == nil
}

// Alone reports whether user is the only one who uses a held socket.
func (h *Holder) Alone(user int, network, address string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	sock := h.held[socketKey{network, address}]
	return sock != nil && len(sock.users) == 1 && sock.users[user]
}

// Used is how many sockets a user has.
func (h *Holder) Used(user int) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sock := range h.held {
		if sock.users[user] {
			n++
		}
	}
	return n
}

// Leave forgets a user; its sockets stay.
func (h *Holder) Leave(user int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sock := range h.held {
		delete(sock.users, user)
	}
}

// Sweep closes what no process uses.
func (h *Holder) Sweep() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, sock := range h.held {
		if len(sock.users) == 0 {
			sock.close()
			delete(h.held, key)
		}
	}
}

// CloseAll closes everything, and opens nothing more until Open: a child that is
// being stopped while it starts must not take an address again.
func (h *Holder) CloseAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.shut = true
	for key, sock := range h.held {
		sock.close()
		delete(h.held, key)
	}
}

// Addresses lists the held sockets as "network/address", sorted.
func (h *Holder) Addresses() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]string, 0, len(h.held))
	for key := range h.held {
		out = append(out, key.String())
	}
	slices.Sort(out)
	return out
}
