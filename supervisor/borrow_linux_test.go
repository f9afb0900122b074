// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// nobodyElse is a user that a test can run processes of this binary as.
func nobodyElse(t *testing.T) *user.User {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can run a process as another user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("this system has no user nobody: %v", err)
	}
	// The user must be able to execute this binary, which lies in a private directory.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(self); len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return nobody
}

// otherProgram starts this binary as another program of the tests, which says a
// line when it is there and ends with its standard input.
func otherProgram(t *testing.T, name string, files []*os.File, args ...string) (line string, end func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), envTest+"="+name), files, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	var said strings.Builder
	for one := make([]byte, 1); ; said.Write(one) {
		if _, err := out.Read(one); err != nil {
			t.Fatalf("%s has ended: %v", name, err)
		}
		if one[0] == '\n' {
			return said.String(), end
		}
	}
}

// inheritsMain tells what it is lent of the descriptors that it was started with,
// of those that it opened itself, and of one whose number was used again.
func inheritsMain() int {
	s := NewSockets()
	got := make(map[string]string)
	ask := func(what string, fd int) {
		lent, err := s.Lend(context.Background(), 1, os.Getuid(), "fd", strconv.Itoa(fd), 0)
		switch {
		case err != nil:
			got[what] = err.Error()
		case idOf(lent) != idOf(fd):
			got[what] = "another file"
		default:
			got[what] = "lent"
		}
	}
	for i, what := range inheritedKinds {
		ask(what, 3+i)
	}
	New(Config{}).Close()
	if flags, err := unix.FcntlInt(3, unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC != 0 {
		got["children"] = "inherit nothing"
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	file, err := ln.(*net.TCPListener).File()
	if err != nil {
		panic(err)
	}
	ask("own", int(file.Fd()))
	again := 3 + len(inheritedKinds)
	if err := unix.Dup2(int(file.Fd()), again); err != nil {
		panic(err)
	}
	ask("used again", again)
	line, _ := json.Marshal(got)
	fmt.Println(string(line))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// inheritedKinds are the files that inheritsMain gets, one more listener follows.
var inheritedKinds = []string{"listener", "packets", "file", "connection"}

// A child is lent the sockets that this process was started with, and of no other
// descriptor of this process a copy: not of its files and control connections, and
// not of what has taken a number later.
func TestInheritedDescriptors(t *testing.T) {
	fileOf := func(c any, err error) *os.File {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.(io.Closer).Close() })
		file, err := c.(interface{ File() (*os.File, error) }).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	listener := fileOf(ln, err)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	packets := fileOf(pc, err)
	conn, err := net.Dial("tcp", ln.Addr().String())
	connection := fileOf(conn, err)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	line, _ := otherProgram(t, "inherits", []*os.File{listener, packets, null, connection, listener})
	var got map[string]string
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	const refused = "it is no listening or datagram socket that the broker was started with"
	for what, want := range map[string]string{
		"listener": "lent", "packets": "lent",
		"children": "inherit nothing",
		"file":     refused, "connection": refused, "own": refused, "used again": refused,
	} {
		if !strings.Contains(got[what], want) {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
}

// listensMain listens on the unix socket that its argument names.
func listensMain() int {
	ln, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	fmt.Println("listening")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = ln.Close()
	return 0
}

// shortDir is a directory whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// lendUnix asks a new holder of sockets for one, on behalf of a process of uid.
func lendUnix(t *testing.T, uid int, path string, perm uint32) error {
	t.Helper()
	s := NewSockets()
	t.Cleanup(s.CloseAll)
	fd, err := s.Lend(t.Context(), 1, uid, "unix", path, perm)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// A socket on which another program serves stays his; once he is dead it does not.
func TestUnixSocketInUse(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	_, end := otherProgram(t, "listens", nil, path)
	if err := lendUnix(t, os.Getuid(), path, 0o600); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path+": somebody listens there already") {
		t.Errorf("while somebody serves: %v", err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the other's socket: %v", err)
	} else {
		_ = conn.Close()
	}
	end()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	if err := lendUnix(t, os.Getuid(), path, 0o600); err != nil {
		t.Errorf("when nobody serves: %v", err)
	}
}

// One child of this process may take a socket over from another one, as when a
// reload moves a site. For one that runs as another user that is refused.
func TestUnixSocketOfOurOwn(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	for range 2 {
		if err := lendUnix(t, os.Getuid(), path, 0o600); err != nil {
			t.Error(err)
		}
	}
	if err := lendUnix(t, os.Getuid()+1, path, 0o600); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("for another user: %v", err)
	}
}

// For a child that runs as another user, an old socket must be his or ours.
func TestUnixSocketOfAThirdUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give a file away")
	}
	const child, third = 12345, 23456
	path := filepath.Join(shortDir(t), "s")
	for _, c := range []struct {
		uid, owner int
		want       string
	}{
		{child, third, "an old socket of user 23456 is there"}, {child, child, ""}, {child, 0, ""}, {0, third, ""},
	} {
		_, end := otherProgram(t, "listens", nil, path)
		end()
		if err := os.Chown(path, c.owner, -1); err != nil {
			t.Fatal(err)
		}
		err := lendUnix(t, c.uid, path, 0o600)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("for a child of user %d, of user %d: error %v, want %q", c.uid, c.owner, err, c.want)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// A child chooses the permissions, nothing else of the mode.
func TestUnixSocketPermissions(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	if err := lendUnix(t, os.Getuid(), path, 0o7750); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode != unix.S_IFSOCK|0o750 {
		t.Errorf("mode %o (%v)", st.Mode, err)
	}
}

// Somebody who owns the directory may put something in the socket's place before
// its permissions are set and it is given to him; others' files do not change.
func TestUnixSocketReplaced(t *testing.T) {
	dir := shortDir(t)
	secret, socket, path := filepath.Join(dir, "secret"), filepath.Join(dir, "socket"), filepath.Join(dir, "s")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lendUnix(t, os.Getuid(), socket, 0o600); err != nil {
		t.Fatal(err)
	}
	place, err := placeSocketFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer place.close()
	for what, put := range map[string]func() error{
		"link":                func() error { return os.Symlink(secret, path) },
		"link to a socket":    func() error { return os.Symlink(socket, path) },
		"second name":         func() error { return os.Link(secret, path) },
		"name of a socket":    func() error { return os.Link(socket, path) },
		"nothing":             func() error { return nil },
		"directory":           func() error { return os.Mkdir(path, 0o700) },
		"a file of one's own": func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if _, err := place.open(0o777, os.Getuid()+1, -1); err == nil {
			t.Errorf("%s: no error", what)
		}
		for _, file := range []string{secret, socket} {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if uid := info.Sys().(*syscall.Stat_t).Uid; info.Mode().Perm() != 0o600 || int(uid) != os.Getuid() {
				t.Errorf("%s: the other's file is %v of user %d", what, info.Mode(), uid)
			}
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// A child that runs as another user gets the unix sockets that its configuration
// names, also where that user could make none, and no others, however it asks.
func TestChildOfAnotherUserBorrows(t *testing.T) {
	nobodyElse(t)
	dir := shortDir(t)
	named, other := filepath.Join(dir, "named"), filepath.Join(dir, "other")
	start := func(b behaviour) error {
		w := watch(t)
		err := w.Start(t.Context(), childSpec(t, b, func(s *Spec) { s.User = "nobody" }))
		if err == nil {
			if _, err := callServer(t.Context(), "unix", named); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	if err := start(behaviour{Listen: []string{"unix/" + named + "|0600"}, Asks: []string{"unix/@" + filepath.Base(dir)}}); err != nil {
		t.Error(err)
	}
	err := start(behaviour{Asks: []string{"unix/" + other}})
	if want := "listening on unix/" + other + ": with `user`, the path must be in the configuration"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := os.Lstat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket that it asked for: %v", err)
	}
	// One who runs as we do needs no such lending: he could do it himself.
	w := watch(t)
	w.start(childSpec(t, behaviour{Asks: []string{"unix/" + other}}))
}

func TestListensOn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config string
		want   bool
	}{
		{`{"apps":{"http":{"servers":{"a":{"listen":[":80","unix//run/x.sock"]}}}}}`, true},
		{`{"listen":["unix//run/x.sock|0660"]}`, true},
		{`{"listen":"UNIX//run/x.sock"}`, true},
		{`{"listen":["unix//run/x.sock2"]}`, false},
		{`{"listen":["unix//run/x"]}`, false},
		{`{"listen":["tcp//run/x.sock"]}`, false},
		{`{"listen":["unix/{env.SOCKET}"]}`, false},
		{`{"listen":{"dial":"unix//run/x.sock"}}`, false},
		{`{"dial":"unix//run/x.sock"}`, false},
		{`{"listen":[null, 1, "/run/x.sock"]}`, false},
		{`oops`, false},
	} {
		if got := listensOn([]byte(c.config), "/run/x.sock"); got != c.want {
			t.Errorf("%s: %v", c.config, got)
		}
	}
}
