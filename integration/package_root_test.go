// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
	"github.com/caddy-broker/caddy-broker/internal/fdstore"
)

// root is this machine's file system, with a layer above it that takes all changes, and
// without Go and what else was installed by hand. It goes with its mount namespace.
type root struct {
	dir   string
	layer string // what differs
}

// newRoot is made in a mount namespace of the test's own.
func newRoot(t *testing.T) *root {
	t.Helper()
	base := vanishing(t)
	r := &root{dir: filepath.Join(base, "root"), layer: filepath.Join(base, "layer")}
	work := filepath.Join(base, "work")
	for _, dir := range []string{r.dir, r.layer, work} {
		if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // the root of a system
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("overlay", r.dir, "overlay", 0, "lowerdir=/,upperdir="+r.layer+",workdir="+work); err != nil {
		t.Skipf("a layer over this machine's file system is not allowed here: %v", err)
	}
	for _, dir := range []string{"run", "tmp", "root", "home", "usr/local", "sys"} {
		mount(t, "tmpfs", filepath.Join(r.dir, dir), "tmpfs", "mode=0755")
	}
	mount(t, "proc", filepath.Join(r.dir, "proc"), "proc", "")
	if err := syscall.Mount("/dev", filepath.Join(r.dir, "dev"), "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(r.dir, "tmp"), 0o1777); err != nil { //nolint:gosec // as /tmp is
		t.Fatal(err)
	}
	return r
}

// vanishing is a folder that goes with the mounts of an isolated test, whatever is mounted
// in it.
func vanishing(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "") //nolint:usetesting // that of testing is removed while mounts are in it
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the root of a system is in it
		t.Fatal(err)
	}
	return dir
}

func mount(t *testing.T, source, target, kind, data string) {
	t.Helper()
	if err := syscall.Mount(source, target, kind, 0, data); err != nil {
		t.Fatalf("mounting %s: %v", target, err)
	}
}

// rootEnv is what a login shell of root has.
var rootEnv = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"}

// run runs a command inside and returns what it wrote to both outputs.
func (r *root) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "chroot", append([]string{r.dir}, args...)...)
	cmd.Env = rootEnv
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is a run that succeeds.
func (r *root) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.run(t, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// read is the text of a file inside, empty if there is none.
func (r *root) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// write makes a file inside, and its folders.
func (r *root) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // folders of a system
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil { //nolint:gosec // a program, or what all may read
		t.Fatal(err)
	}
}

// residue are the paths in the layer that this machine does not have, or that the layer
// hides from it; but for what the package manager and the list of users write.
func (r *root) residue(t *testing.T) (left []string) {
	t.Helper()
	known := []string{"/var/lib/dpkg", "/var/log/dpkg.log", "/var/cache", "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock"}
	err := filepath.WalkDir(r.layer, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside := strings.TrimPrefix(name, r.layer)
		if slices.Contains(known, inside) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		_, err = os.Lstat("/" + inside)
		if errors.Is(err, fs.ErrNotExist) || d.Type()&fs.ModeCharDevice != 0 {
			left = append(left, inside)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// unit is a service as its file describes it.
type unit map[string]string

func (r *root) unit(t *testing.T, name string) unit {
	t.Helper()
	u := unit{}
	for line := range strings.Lines(r.read(t, name)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			u[key] = value
		}
	}
	return u
}

// sandbox becomes the service: a file system that is read-only but for the folders of
// the service, a user with the capabilities that the unit names, and nothing more.
const sandbox = `set -e
root=$1 user=$2 caps=$3 home=$4; shift 4
for dir in var/lib/caddy var/log/caddy; do mount --bind "$root/$dir" "$root/$dir"; done
mount -o remount,bind,ro "$root"
exec chroot "$root" env -C "$home" setpriv --reuid="$user" --regid="$user" --init-groups \
	--inh-caps="-all,+$caps" --ambient-caps="-all,+$caps" --bounding-set="-all,+$caps" --no-new-privs "$@"`

// start starts a service as systemd does by its unit, its sockets kept by manager.
func (r *root) start(t *testing.T, u unit, manager *fdstore.Manager) *harness.Process {
	t.Helper()
	for dir, mode := range map[string]string{"/run/" + u["RuntimeDirectory"]: "0755", "/var/lib/" + u["StateDirectory"]: "0755", "/var/log/" + u["LogsDirectory"]: "0755"} {
		r.must(t, "install", "-d", "-m", mode, "-o", u["User"], "-g", u["Group"], dir)
	}
	files, env, err := manager.Start()
	if err != nil {
		t.Fatal(err)
	}
	capability := strings.ToLower(strings.TrimPrefix(u["AmbientCapabilities"], "CAP_"))
	command := append([]string{"/usr/bin/unshare", "--mount", "/bin/sh", "-c", sandbox, "sandbox", r.dir, u["User"], capability, u["WorkingDirectory"]},
		strings.Fields(u["ExecStart"])...)
	command = fdstore.Exec(command)
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(env, "NOTIFY_SOCKET=/run/notify", rootEnv[0], "HOME=/var/lib/caddy", "USER="+u["User"], "RUNTIME_DIRECTORY=/run/"+u["RuntimeDirectory"])
	cmd.ExtraFiles = files
	p, err := harness.StartProcess(cmd, filepath.Join(filepath.Dir(r.dir), "output.log"))
	for _, f := range files {
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}
