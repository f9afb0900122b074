// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
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
	mu   sync.Mutex
	held map[socketKey]*socket
	shut bool // nothing is opened until Open
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
func (s *Sockets) Lend(user, uid int, network, address string, perm uint32) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := socketKey{network, address}
	sock := s.held[key]
	if sock == nil {
		if s.shut {
			return -1, errShut
		}
		var err error
		if sock, err = openSocket(key, uid, perm&0o777); err != nil {
			return -1, err
		}
		s.held[key] = sock
	}
	sock.users[user] = true
	return sock.dup()
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
