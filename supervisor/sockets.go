// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Sockets holds the listening sockets that children use. The first child that
// asks for an address makes it open; every child gets a descriptor of the same
// socket. A socket outlives its users: while no child accepts, connections wait
// in its queue. It is closed when the owner sweeps and no living child uses it,
// or with all the others.
type Sockets struct {
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

// NewSockets holds nothing yet.
func NewSockets() *Sockets {
	return &Sockets{held: make(map[socketKey]*socket)}
}

var errShut = errors.New("the broker is stopping")

// Lend returns a descriptor of the socket for network and address, which it opens
// if need be, and notes that user uses it. The descriptor is the caller's. The
// error is the system's, as a listener of one's own would get it.
//
// The user is a process that runs as uid. One that runs as somebody else than this
// process is not lent what it takes from others (see [socketFile.clear]). Of perm,
// a unix socket's, only the nine permission bits count.
//
// Finding out what a host's name means may take its time; it ends with ctx, and
// nobody waits meanwhile but those who want another socket opened.
func (s *Sockets) Lend(ctx context.Context, user, uid int, network, address string, perm uint32) (int, error) {
	key := socketKey{network, address}
	if fd, err := s.lendHeld(user, key); !errors.Is(err, errNotHeld) {
		return fd, err
	}
	s.opening.Lock()
	defer s.opening.Unlock()
	if fd, err := s.lendHeld(user, key); !errors.Is(err, errNotHeld) {
		return fd, err
	}
	sock, err := openSocket(ctx, key, uid, perm&0o777)
	if err != nil {
		return -1, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		sock.close()
		return -1, errShut
	}
	s.held[key] = sock
	return sock.lend(user)
}

var errNotHeld = errors.New("the socket is not open")

// lendHeld lends a socket that is held already.
func (s *Sockets) lendHeld(user int, key socketKey) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch sock := s.held[key]; {
	case sock != nil:
		return sock.lend(user)
	case s.shut:
		return -1, errShut
	default:
		return -1, errNotHeld
	}
}

func (s *socket) lend(user int) (int, error) {
	s.users[user] = true
	return s.dup()
}

// Open allows sockets to be opened again after CloseAll.
func (s *Sockets) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = false
}

// look returns a descriptor of a held socket, which is the caller's.
func (s *Sockets) look(network, address string) (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sock := s.held[socketKey{network, address}]
	if sock == nil {
		return -1, false
	}
	fd, err := sock.dup()
	return fd, err == nil
}

// alone tells whether user is the only one who uses a held socket.
func (s *Sockets) alone(user int, network, address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sock := s.held[socketKey{network, address}]
	return sock != nil && len(sock.users) == 1 && sock.users[user]
}

// Leave forgets a user; its sockets stay.
func (s *Sockets) Leave(user int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sock := range s.held {
		delete(sock.users, user)
	}
}

// Sweep closes what nobody uses.
func (s *Sockets) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, sock := range s.held {
		if len(sock.users) == 0 {
			sock.close()
			delete(s.held, key)
		}
	}
}

// CloseAll closes everything, and opens nothing more until Open: a child that is
// being stopped while it starts must not take an address again.
func (s *Sockets) CloseAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for key, sock := range s.held {
		sock.close()
		delete(s.held, key)
	}
}

// Addresses lists the held sockets as "network/address", sorted.
func (s *Sockets) Addresses() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.held))
	for key := range s.held {
		out = append(out, key.String())
	}
	slices.Sort(out)
	return out
}
