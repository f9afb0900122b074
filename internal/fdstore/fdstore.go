// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package fdstore is what a service manager is to a program whose sockets it keeps, for
// tests: it hears notifications, keeps the descriptors that come with them, and gives
// them to the next process as systemd does.
//
// Its guarantee: what it keeps is open until a notification or Close ends it, whatever
// the programs do.
package fdstore

import (
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Manager keeps descriptors.
type Manager struct {
	conn    *net.UnixConn
	changed chan struct{}
	heard   sync.WaitGroup

	mu   sync.Mutex
	kept map[string]*os.File // by mu; by the names that came with them
}

// New hears notifications at a path, until Close.
func New(path string) (*Manager, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	m := &Manager{conn: conn, changed: make(chan struct{}, 1), kept: make(map[string]*os.File)}
	m.heard.Go(m.hear)
	return m, nil
}

// Close ends it and closes what it keeps.
func (m *Manager) Close() {
	_ = m.conn.Close()
	m.heard.Wait()
	for _, f := range m.kept {
		_ = f.Close()
	}
}

func (m *Manager) hear() {
	text, rights := make([]byte, 4096), make([]byte, 4096)
	for {
		n, oob, _, _, err := m.conn.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		m.take(string(text[:n]), rights[:oob])
		select {
		case m.changed <- struct{}{}:
		default:
		}
	}
}

func (m *Manager) take(text string, rights []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, name, _ := strings.Cut(text, "FDNAME=")
	switch {
	case strings.HasPrefix(text, "FDSTOREREMOVE=1\n"):
		if f := m.kept[name]; f != nil {
			_ = f.Close()
		}
		delete(m.kept, name)
	case strings.HasPrefix(text, "FDSTORE=1\n"):
		for _, fd := range received(rights) {
			m.kept[name] = os.NewFile(uintptr(fd), name)
		}
	}
}

// received are the descriptors of a message.
func received(rights []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		more, err := unix.ParseUnixRights(&messages[i])
		if err == nil {
			fds = append(fds, more...)
		}
	}
	return fds
}

// Names are those of what is kept, sorted.
func (m *Manager) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.kept))
}

// Changed has something after a notification.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

// Put keeps a copy of a file that no program has sent.
func (m *Manager) Put(name string, f *os.File) error {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[name] = os.NewFile(uintptr(fd), name)
	return nil
}

// Start is what the next process is started with: the files for descriptors from 3 on,
// which the caller closes, and the environment. Only LISTEN_PID is missing, which is the
// number of the process (see [Exec]).
func (m *Manager) Start() (files []*os.File, env []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := slices.Sorted(maps.Keys(m.kept))
	for _, name := range names {
		fd, err := unix.FcntlInt(m.kept[name].Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return files, nil, err
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	return files, []string{
		"NOTIFY_SOCKET=" + m.conn.LocalAddr().String(),
		"LISTEN_FDS=" + strconv.Itoa(len(files)),
		"LISTEN_FDNAMES=" + strings.Join(names, ":"),
	}, nil
}

// Exec is a command that becomes another one, with LISTEN_PID set to its own number, as
// a service manager sets it between its two steps of a start.
func Exec(command []string) []string {
	return append([]string{"/bin/sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`}, command...)
}
