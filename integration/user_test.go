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
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// reservedPort is a free port, other than not, that only root may open.
func reservedPort(t *testing.T, not string) string {
	t.Helper()
	const lowest, end = 600, 1024
	first := rand.IntN(end - lowest)
	for i := range end - lowest {
		port := strconv.Itoa(lowest + (first+i)%(end-lowest))
		if port != not && harness.PortFree(port) == nil {
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

// The sites are served by a process without privileges, on a port that only its
// parent may open, also after a crash and a reload.
func TestChildRunsAsAnotherUser(t *testing.T) {
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
`
	port := reservedPort(t, "")
	second := reservedPort(t, port)
	b := newBroker(t, site, "PORT="+port, "SECOND="+second)
	// The program and the directory of private sockets lie in directories of root's.
	for _, dir := range []string{scratch, b.Dir, filepath.Join(b.Dir, "tmp")} {
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	serves := func(notPid int, port string) (pid int) {
		t.Helper()
		pid = awaitActive(t, b, notPid)
		if child, parent := owner(t, pid), owner(t, b.Process().Pid()); child != nobody.Uid || parent != "0" {
			t.Errorf("the child runs as user %s, the parent as %s; want %s and 0", child, parent, nobody.Uid)
		}
		if got := get(t, "127.0.0.1:"+port).Body; got != "ANSWER" {
			t.Errorf("answered %q", got)
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
