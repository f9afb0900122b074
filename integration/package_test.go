// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
	"github.com/caddy-broker/caddy-broker/internal/fdstore"
)

// fakeSystemctl notes what it is asked, and says that the service runs once it was enabled.
const fakeSystemctl = `#!/bin/sh
echo "$*" >>/run/systemctl.log
[ "$1" != is-active ] || grep -q '^enable' /run/systemctl.log
`

// caddyPackageControl is a package that has Caddy, as Debian's and Caddy's own have.
const caddyPackageControl = `Package: caddy
Version: 2.6.2
Architecture: all
Maintainer: nobody <nobody@example.com>
Description: Caddy
`

// TestPackage installs the Debian package in the place of Caddy's, and does what its users
// do: serve, lose the child, upgrade, lose the parent, remove.
func TestPackage(t *testing.T) {
	t.Parallel()
	if os.Getenv(isolatedEnv) == "" {
		skipShort(t)
		if os.Geteuid() != 0 {
			t.Skip("only root may install packages")
		}
		if _, err := exec.LookPath("dpkg"); err != nil {
			t.Skip("dpkg is not there: packages are tested on Debian and its relatives")
		}
		if err := releases(); err != nil {
			t.Fatal(err)
		}
	}
	isolated(t, installed)
}

// releases makes two releases, in the folder packages of the scratch folder, which is the
// folder of temporary files for a test that runs isolated.
var releases = sync.OnceValue(func() error {
	for _, version := range []string{"v0.0.1", "v0.0.2"} {
		cmd := exec.CommandContext(context.Background(), "../packaging/release", version, filepath.Join(scratch, "packages"), "linux/"+runtime.GOARCH)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
	}
	return nil
})

func installed(t *testing.T) {
	r := newRoot(t)
	users := r.read(t, "/etc/passwd") + r.read(t, "/etc/group")
	if strings.Contains(users, "caddy") {
		t.Skip("this machine has a user caddy already")
	}
	for _, version := range []string{"0.0.1", "0.0.2"} {
		built, err := filepath.Glob(filepath.Join(os.TempDir(), "packages", "*"+version+"*.deb"))
		if err != nil || len(built) != 1 {
			t.Fatalf("packages of %s: %v (%v)", version, built, err)
		}
		text, err := os.ReadFile(built[0])
		if err != nil {
			t.Fatal(err)
		}
		r.write(t, "/tmp/"+version+".deb", string(text))
	}
	r.must(t, "rm", "-rf", "/etc/caddy", "/var/lib/caddy", "/var/log/caddy") // this machine may have them
	before := r.residue(t)
	r.write(t, "/run/systemd/system/.keep", "")
	r.write(t, "/usr/local/bin/systemctl", fakeSystemctl)
	r.write(t, "/tmp/caddy/DEBIAN/control", caddyPackageControl)
	r.write(t, "/tmp/caddy/usr/bin/caddy", "#!/bin/sh\n")
	r.write(t, "/tmp/caddy/lib/systemd/system/caddy.service", "[Service]\nExecStart=/usr/bin/caddy run\n")
	r.must(t, "dpkg-deb", "--build", "/tmp/caddy", "/tmp/caddy.deb")
	r.must(t, "dpkg", "--no-triggers", "-i", "/tmp/caddy.deb")
	dpkg := []string{"dpkg", "--no-triggers", "--force-confold"}

	r.must(t, append(dpkg, "-i", "/tmp/0.0.1.deb")...)
	if out, _ := r.run(t, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", "caddy"); strings.HasPrefix(out, "ii") {
		t.Errorf("Caddy's own package is still installed: %q", out)
	}
	if calls := r.read(t, "/run/systemctl.log"); !strings.Contains(calls, "enable --now caddy-broker.service\n") {
		t.Errorf("the service was not started; systemctl was asked:\n%s", calls)
	}
	if out := r.must(t, "caddy", "broker", "version"); !strings.Contains(out, "caddy-broker v0.0.1") {
		t.Errorf("caddy broker version: %q", out)
	}
	r.must(t, "bash", "-c", "source /usr/share/bash-completion/completions/caddy; zcat /usr/share/man/man8/caddy-broker.8.gz | grep -q TH")

	notify := filepath.Join(r.dir, "run/notify")
	manager, err := fdstore.New(notify)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(manager.Close)
	if err := os.Chmod(notify, 0o666); err != nil { //nolint:gosec // as systemd's is
		t.Fatal(err)
	}
	service := r.unit(t, "/usr/lib/systemd/system/caddy-broker.service")
	if !strings.Contains(service["Conflicts"], "caddy.service") {
		t.Error("the unit does not say that it conflicts with caddy.service")
	}
	parent := r.start(t, service, manager)
	t.Cleanup(func() {
		_ = parent.Kill()
		if t.Failed() {
			t.Log(parent.Output())
		}
	})
	child := r.serving(t, parent, 0)
	for what, pid := range map[string]int{"parent": parent.Pid(), "child": child} {
		if uid := owner(t, pid); uid != strings.TrimSpace(r.must(t, "id", "-u", service["User"])) {
			t.Errorf("the %s runs as user %s", what, uid)
		}
	}
	if page := get(t, "127.0.0.1:80"); !strings.Contains(page.Body, "/etc/caddy/Caddyfile") {
		t.Errorf("first page: %q", page.Body)
	}

	load := harness.Load{Client: &harness.Client{Addr: "127.0.0.1:80"}, Rate: 50, Name: "package"}
	run := load.Start(t.Context())
	sent(t, run, 10)
	var kills strikes
	kills.strike(t, func() error { return syscall.Kill(child, syscall.SIGKILL) })
	child = r.serving(t, parent, child)

	r.must(t, append(dpkg, "-i", "/tmp/0.0.2.deb")...) // upgrades in place, without systemd's help
	child = r.serving(t, parent, child)
	if out := r.must(t, "caddy", "broker", "status"); !strings.Contains(out, "caddy-broker v0.0.2") {
		t.Errorf("after the upgrade status says:\n%s", out)
	}
	if calls := r.read(t, "/run/systemctl.log"); strings.Contains(calls, "restart") {
		t.Errorf("the upgrade restarted the service; systemctl was asked:\n%s", calls)
	}

	// The parent itself dies: users queue at the sockets that the service manager keeps.
	kills.strike(t, parent.Kill)
	<-time.After(time.Second) // as long as systemd waits
	parent = r.start(t, service, manager)
	r.serving(t, parent, child)
	sent(t, run, run.Sent()+10)
	results := run.Stop()
	for _, failed := range results.Failed() {
		if failed.Fate == harness.Refused || !kills.hit(failed) {
			t.Errorf("%s: %s %d (%v)", failed.ID, failed.Fate, failed.Status, failed.Err)
		}
	}
	t.Log(results)

	if err := parent.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := parent.ExitCode(); code != 0 {
		t.Errorf("the service ended with code %d", code)
	}
	r.must(t, append(dpkg, "-r", "caddy-broker")...)
	if out := r.read(t, "/run/systemctl.log"); !strings.Contains(out, "disable --now caddy-broker.service\n") {
		t.Errorf("the removal did not stop the service; systemctl was asked:\n%s", out)
	}
	r.must(t, append(dpkg, "-P", "caddy-broker")...)
	r.must(t, append(dpkg, "-P", "caddy")...)
	if left := r.residue(t); !slices.Equal(left, before) {
		t.Errorf("the removal left:\n%s\nbefore the installation there was:\n%s", strings.Join(left, "\n"), strings.Join(before, "\n"))
	}
	if now := r.read(t, "/etc/passwd") + r.read(t, "/etc/group"); now != users {
		t.Error("the list of users and groups is not what it was")
	}
}

// serving waits until the child serves in another process than notPid, which it returns.
func (r *root) serving(t *testing.T, parent *harness.Process, notPid int) (pid int) {
	t.Helper()
	err := harness.Until(t.Context(), soon, func() error {
		out, err := r.run(t, "caddy", "broker", "status", "--json")
		pid, err = activeOf(out, err, notPid)
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, parent.Output())
	}
	return pid
}

// activeOf reads what `caddy broker status --json` printed, err being how that ended: it
// returns the process in which the only child serves, or an error as long as that is notPid
// or none.
func activeOf(out string, err error, notPid int) (pid int, _ error) {
	var status struct {
		Children []harness.Child `json:"children"`
	}
	if json.Unmarshal([]byte(out), &status) != nil || len(status.Children) != 1 {
		return 0, fmt.Errorf("caddy broker status: %w\n%s", err, out)
	}
	child := status.Children[0]
	if child.State != "active" || child.Pid == notPid {
		return 0, fmt.Errorf("the child is %s in process %d: %w", child.State, child.Pid, context.DeadlineExceeded)
	}
	return child.Pid, nil
}
