// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddy-broker/caddy-broker/internal/fdstore"
)

// storeManager is a service manager that keeps descriptors.
type storeManager struct{ *fdstore.Manager }

func newStoreManager(t *testing.T) storeManager {
	t.Helper()
	m, err := fdstore.New(filepath.Join(t.TempDir(), "notify"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return storeManager{m}
}

// await returns when so many are kept.
func (m storeManager) await(t *testing.T, n int) {
	t.Helper()
	for len(m.Names()) != n {
		select {
		case <-m.Changed():
		case <-time.After(10 * time.Second):
			t.Fatalf("%d are kept, want %d: %q", len(m.Names()), n, m.Names())
		}
	}
}

// next starts the next process with what is kept. It borrows the addresses, says what
// it got and what it dropped, and ends when the function is called.
func (m storeManager) next(t *testing.T, addresses ...string) (got storedResult, end func()) {
	t.Helper()
	files, env, err := m.Start()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	line, end := otherProgram(t, "stored", files, addresses...)
	for _, f := range files {
		_ = f.Close()
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return got, end
}

// storedResult is what a process of TestDescriptorStore says of itself.
type storedResult struct {
	Lent    map[string]string // socket inodes by address, or the error
	Dropped []string
	FD      string // what it answers to one who asks for a stored descriptor by its number
}

// storedMain is the process that systemd would start. systemd knows its number before
// it starts it; a test does not, so the program starts itself anew.
func storedMain() int {
	if os.Getenv("LISTEN_PID") == "" {
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
		for fd := range n {
			if _, err := unix.FcntlInt(uintptr(3+fd), unix.F_SETFD, 0); err != nil {
				panic(err)
			}
		}
		command := fdstore.Exec(append([]string{self}, os.Args[1:]...))
		panic(unix.Exec(command[0], command, os.Environ()))
	}
	h, got := New(), storedResult{Lent: make(map[string]string)}
	for _, a := range os.Args[1:] {
		network, address, _ := strings.Cut(a, "/")
		fd, err := h.Lend(context.Background(), 1, os.Getuid(), network, address, 0o222)
		if got.Lent[a] = fmt.Sprint(idOf(fd).ino); err != nil {
			got.Lent[a] = err.Error()
		}
	}
	_, err := h.Lend(context.Background(), 1, os.Getuid(), "fd", "3", 0)
	got.FD = fmt.Sprint(err)
	got.Dropped = DropStored()
	line, _ := json.Marshal(got)
	fmt.Println(string(line))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestDescriptorStore: what one process opened is lent by the next, as long as it asks
// for the same address; what it does not ask for leaves the store.
func TestDescriptorStore(t *testing.T) {
	manager := newStoreManager(t)
	path := filepath.Join(t.TempDir(), "x:y.sock")
	tcp, udp, file := "tcp/"+freeAddress(t), "udp/127.0.0.1:0", "unix/"+path
	first, end := manager.next(t, tcp, udp, file)
	end()
	manager.await(t, 3)
	for _, name := range manager.Names() {
		if strings.Contains(name, ":") {
			t.Errorf("%q separates names", name)
		}
	}
	second, end := manager.next(t, tcp, udp, file)
	if !maps.Equal(second.Lent, first.Lent) || len(second.Dropped) > 0 {
		t.Errorf("the next process was lent %v and dropped %v, want %v", second.Lent, second.Dropped, first.Lent)
	}
	if !strings.Contains(second.FD, "no listening or datagram socket") {
		t.Errorf("a stored socket can be had by its number: %s", second.FD)
	}
	end()
	third, end := manager.next(t, tcp)
	if want := []string{udp, file}; third.Lent[tcp] != first.Lent[tcp] || !slices.Equal(third.Dropped, want) {
		t.Errorf("got %+v, want %v to be dropped", third, want)
	}
	end()
	manager.await(t, 1)
}

// TestStoredSocketOfAnotherFile: where a unix socket's file was replaced, the stored
// one would never be reached.
func TestStoredSocketOfAnotherFile(t *testing.T) {
	manager := newStoreManager(t)
	path := filepath.Join(t.TempDir(), "sock")
	first, end := manager.next(t, "unix/"+path)
	end()
	manager.await(t, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, _ := manager.next(t, "unix/"+path)
	if got := second.Lent["unix/"+path]; got == first.Lent["unix/"+path] || strings.Contains(got, "listening") {
		t.Errorf("it was lent %s after %s", got, first.Lent["unix/"+path])
	}
	manager.await(t, 1)
	if conn, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
}

// TestStoreWithWhatIsNotOurs: what another version or program stored is let go, and
// nothing of it is served.
func TestStoreWithWhatIsNotOurs(t *testing.T) {
	manager := newStoreManager(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	address := "tcp/" + freeAddress(t)
	for _, name := range []string{"broker." + strings.ReplaceAll(address, ":", "%3A"), "broker.tcp/%zz", "broker.", "broker.unix/%2Fa;no.file", "stored"} {
		if err := manager.Put(name, null); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := manager.next(t, address)
	if _, err := strconv.Atoi(got.Lent[address]); err != nil || got.Lent[address] == "0" || len(got.Dropped) > 0 {
		t.Errorf("got %+v", got)
	}
	manager.await(t, 2) // the new socket, and what is another's
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
