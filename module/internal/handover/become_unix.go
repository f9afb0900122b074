// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package handover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// launched is the path by which this program was started, if it still leads there: a
// link, as systems have it that offer alternatives, may lead to the new program.
var launched = launchPath()

func launchPath() string {
	own, err := os.Executable()
	if err != nil {
		return ""
	}
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return own
	}
	a, errA := os.Stat(path) //nolint:gosec // where this program was started
	b, errB := os.Stat(own)
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		return own
	}
	return path
}

// Program is the path of the program that takes this one's place: where this one was.
func Program() string { return launched }

// Become executes a program that was tried in the place of this one, with the same
// arguments. It returns only if it could not: then everything is as it was.
func (s *State) Become(tried *Tried) error {
	file, err := s.write()
	if err != nil {
		return err
	}
	defer file.Close()
	own := []int{int(file.Fd())}
	fds := append(s.fds(), own...)
	environ := append(withoutSockets(os.Environ()), env+"="+strconv.Itoa(own[0]))

	// What is started at this moment must not inherit them.
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
	all := append(slices.Clone(fds), sockets.Inherited()...)
	for _, fd := range all {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
	if err = tried.Still(); err == nil {
		err = tried.execute(environ)
	}
	for _, fd := range all {
		unix.CloseOnExec(fd)
	}
	return err
}

// execute executes the program, and returns only if it could not.
func (t *Tried) execute(environ []string) error {
	var files unix.Rlimit
	errLimit := unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	err := syscall.Exec(t.program, os.Args, environ)
	if errLimit == nil { // syscall.Exec has lowered it to what this program was started with
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	return fmt.Errorf("executing %s: %w", t.program, err)
}

// withoutSockets is env without what a service manager said of descriptors at the start:
// they have other numbers now.
func withoutSockets(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool { return strings.HasPrefix(e, "LISTEN_") })
}

// fds are the descriptors that go with the state.
func (s *State) fds() (fds []int) {
	for _, c := range s.Children {
		fds = append(fds, c.FDs()...)
		for _, d := range c.Dirs {
			fds = append(fds, d.FD)
		}
	}
	return fds
}

// keep keeps the descriptors from all that this program starts.
func (s *State) keep() {
	fds := s.fds()
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	sockets.Disinherit(fds)
}
