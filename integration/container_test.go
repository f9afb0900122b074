// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// TestContainer does by hand what the Dockerfile and compose.yaml of examples/container
// ask for: nothing but the program, process 1, no root, a file system that is read-only but
// for two folders.
func TestContainer(t *testing.T) {
	t.Parallel()
	if os.Getenv(isolatedEnv) == "" {
		skipShort(t)
		if os.Geteuid() != 0 {
			t.Skip("only root may make the namespaces of a container")
		}
		if err := releases(); err != nil {
			t.Fatal(err)
		}
	}
	isolated(t, contained)
}

const containerUser = 65532

// container is a container that is made by hand.
type container struct {
	root  string
	proc  *harness.Process
	first int // process 1, as this machine counts
}

func contained(t *testing.T) {
	c := startContainer(t)
	child := c.serving(t, 0)
	if uid := owner(t, c.first); uid != strconv.Itoa(containerUser) {
		t.Errorf("process 1 runs as user %s", uid)
	}
	get(t, "127.0.0.1:80")
	if out, err := c.run(t, "broker", "check"); err != nil {
		t.Errorf("the health check: %v\n%s", err, out)
	}

	c.inside(t, "kill -9 "+strconv.Itoa(child))
	c.serving(t, child)
	get(t, "127.0.0.1:80")

	// Process 1 is the parent of what is left by others.
	c.inside(t, "sleep 0.1 & exit 0")
	await := func(what string, want bool) {
		if err := harness.Until(t.Context(), soon, func() error {
			if dead := c.dead(t); (dead > 0) != want {
				return fmt.Errorf("%d are dead", dead)
			}
			return nil
		}); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, c.proc.Output())
		}
	}
	await("waiting until the orphan is dead", true)
	await("waiting until it is reaped", false)

	if err := syscall.Kill(c.first, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := c.proc.ExitCode(); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d\n%s", code, c.proc.Output())
	}
	if out, err := c.run(t, "broker", "check"); err == nil {
		t.Errorf("the health check of a container that has ended: %s", out)
	}
}

func startContainer(t *testing.T) *container {
	t.Helper()
	c := &container{root: filepath.Join(vanishing(t), "root")}
	if err := os.Mkdir(c.root, 0o755); err != nil { //nolint:gosec // the root of a system
		t.Fatal(err)
	}
	mount(t, "tmpfs", c.root, "tmpfs", "mode=0755")
	r := &root{dir: c.root}
	program, err := os.ReadFile(filepath.Join(os.TempDir(), "packages", "caddy-broker_0.0.1_linux_"+runtime.GOARCH))
	if err != nil {
		t.Fatal(err)
	}
	caddyfile, err := os.ReadFile("../packaging/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	r.write(t, "usr/bin/caddy", string(program))
	r.write(t, "etc/caddy/Caddyfile", string(caddyfile))
	r.write(t, "etc/hosts", "127.0.0.1 localhost\n") // as every builder of containers does
	for _, dir := range []string{"proc", "data", "run/caddy"} {
		if err := os.MkdirAll(filepath.Join(c.root, dir), 0o755); err != nil { //nolint:gosec // folders of a system
			t.Fatal(err)
		}
	}
	r.write(t, "dev/null", "") // what else is in /dev is not used
	if err := syscall.Mount("/dev/null", filepath.Join(c.root, "dev/null"), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	user := fmt.Sprintf("mode=0700,uid=%d,gid=%d", containerUser, containerUser)
	mount(t, "tmpfs", filepath.Join(c.root, "data"), "tmpfs", user)
	mount(t, "tmpfs", filepath.Join(c.root, "run/caddy"), "tmpfs", user)
	if err := syscall.Mount("", c.root, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	// As in a container, everybody may open every port.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o600); err != nil {
		t.Skipf("the ports of this network cannot be set: %v", err)
	}
	id := strconv.Itoa(containerUser)
	cmd := exec.CommandContext(t.Context(), "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc",
		"--root="+c.root, "--wd=/data", "--setuid="+id, "--setgid="+id,
		"/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "broker")
	cmd.Env = containerEnv
	if c.proc, err = harness.StartProcess(cmd, filepath.Join(vanishing(t), "output.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.proc.Kill()
		if t.Failed() {
			t.Log(c.proc.Output())
		}
	})
	return c
}

// containerEnv is that of the Dockerfile.
var containerEnv = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/data", "XDG_DATA_HOME=/data", "XDG_CONFIG_HOME=/data", "XDG_RUNTIME_DIR=/run/caddy", "TMPDIR=/run/caddy",
}

// run runs another caddy command in the container's file system, as its user.
func (c *container) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	id := strconv.Itoa(containerUser)
	cmd := exec.CommandContext(t.Context(), "chroot", append([]string{"--userspec=" + id + ":" + id, c.root, "/usr/bin/caddy"}, args...)...)
	cmd.Env = containerEnv
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// inside runs a command of this machine's shell among the container's processes.
func (c *container) inside(t *testing.T, command string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nsenter", "--target="+strconv.Itoa(c.first), "--pid", "sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// dead counts the children of process 1 that are dead and not reaped.
func (c *container) dead(t *testing.T) (n int) {
	t.Helper()
	for _, pid := range childrenOf(t, c.first) {
		if !harness.Alive(pid) {
			n++
		}
	}
	return n
}

// serving waits until the child serves in another process than notPid, which it returns;
// the ids are those of the container.
func (c *container) serving(t *testing.T, notPid int) (pid int) {
	t.Helper()
	err := harness.Until(t.Context(), soon, func() error {
		if children := childrenOf(t, c.proc.Pid()); len(children) == 1 {
			c.first = children[0]
		}
		out, err := c.run(t, "broker", "status", "--json")
		pid, err = activeOf(out, err, notPid)
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, c.proc.Output())
	}
	return pid
}

// childrenOf are the processes that a process is the parent of, dead ones too.
func childrenOf(t *testing.T, parent int) (pids []int) {
	t.Helper()
	// Each thread has its own.
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // it is gone
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
