// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// reserved are the ports that reservedPort gave away.
var reserved sync.Map

// reservedPort is a free port that only root may open, another one each time.
func reservedPort(t *testing.T) string {
	t.Helper()
	const lowest, end = 600, 1024
	first := rand.IntN(end - lowest)
	for i := range end - lowest {
		port := strconv.Itoa(lowest + (first+i)%(end-lowest))
		if harness.PortFree(port) != nil {
			continue
		}
		if _, given := reserved.LoadOrStore(port, true); !given {
			return port
		}
	}
	t.Skip("no port below 1024 can be opened here")
	return ""
}

// owner is the user id that a process runs as.
func owner(t *testing.T, pid int) string {
	t.Helper()
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Uid), 10)
}

// The sites are served by a process without privileges, on a port and on a unix
// socket that only its parent may open, also after a crash and a reload.
func TestChildRunsAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can run a child as another user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("this system has no user nobody: %v", err)
	}
	const site = `{
	admin {$ADMIN}
	broker {
		user nobody
		restart_delay 100ms
	}
}
http://:{$PORT} {
	respond "ANSWER"
}
http://socket.localhost {
	bind unix/{$SOCKET}
	respond "SOCKET"
}
`
	b, port, second := newUserBroker(t, site)
	socket := &harness.Client{Network: "unix", Addr: filepath.Join(b.Dir, "site"), Host: "socket.localhost"}
	serves := func(notPid int, port string) (pid int) {
		t.Helper()
		pid = servesAs(t, b, notPid, port, nobody.Uid)
		if res := socket.Do(t.Context(), "s", time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK || res.Body != "SOCKET" {
			t.Errorf("on the unix socket: %s %q (%v)", res.Fate, res.Body, res.Err)
		}
		return pid
	}
	pid := serves(0, port)
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	pid = serves(pid, port)
	if out, err := reload(t, b, strings.Replace(site, "PORT", "SECOND", 1)); err != nil {
		t.Fatalf("caddy reload: %v\n%s", err, out)
	}
	serves(pid, second)
	// Its own admin endpoint can be reached by way of the parent.
	if err := b.Admin(t.Context(), "GET", "/broker/children/default/admin/config/", nil); err != nil {
		t.Error(err)
	}
}

// A reload may bring a user, another one, and none again.
func TestReloadChangesUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can run a child as another user")
	}
	users := []*user.User{{Uid: "0"}}
	for _, name := range []string{"nobody", "daemon"} {
		u, err := user.Lookup(name)
		if err != nil {
			t.Skipf("this system has no user %s: %v", name, err)
		}
		users = append(users, u)
	}
	const site = `{
	admin {$ADMIN}
	broker {
		restart_delay 100ms
		# USER
	}
}
http://:{$PORT} {
	respond "ANSWER"
}
`
	b, port, _ := newUserBroker(t, site)
	pid := servesAs(t, b, 0, port, "0")
	for _, u := range append(users[1:], users[0]) {
		text := site
		if u.Username != "" {
			text = strings.Replace(site, "# USER", "user "+u.Username, 1)
		}
		if out, err := reload(t, b, text); err != nil {
			t.Fatalf("to user %q: %v\n%s", u.Username, err, out)
		}
		pid = servesAs(t, b, pid, port, u.Uid)
		if err := b.Admin(t.Context(), "GET", "/broker/children/default/admin/config/", nil); err != nil {
			t.Errorf("user %q: %v", u.Username, err)
		}
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(b.Dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("the broker left %v (%v)", left, err)
	}
}

// newUserBroker starts a broker of site whose child can run as another user, and
// returns its two ports, which only root may open.
func newUserBroker(t *testing.T, site string) (b *harness.Broker, port, second string) {
	t.Helper()
	port, second = reservedPort(t), reservedPort(t)
	b = newBroker(t, site, "PORT="+port, "SECOND="+second)
	b.Env = append(b.Env, "SOCKET="+filepath.Join(b.Dir, "site"))
	// The program and the directory of private sockets lie in directories of root's.
	for _, dir := range []string{scratch, b.Dir, filepath.Join(b.Dir, "tmp")} {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	return b, port, second
}

// servesAs waits for another active process than notPid, which must run as the user
// with this id, and must answer.
func servesAs(t *testing.T, b *harness.Broker, notPid int, port, uid string) (pid int) {
	t.Helper()
	pid = awaitActive(t, b, notPid)
	if child, parent := owner(t, pid), owner(t, b.Process().Pid()); child != uid || parent != "0" {
		t.Errorf("the child runs as user %s, the parent as %s; want %s and 0", child, parent, uid)
	}
	if got := get(t, "127.0.0.1:"+port).Body; got != "ANSWER" {
		t.Errorf("answered %q", got)
	}
	return pid
}
