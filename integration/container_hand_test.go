// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
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

func contained(t *testing.T) {
	c := startContainer(t)
	c.lives(t, "127.0.0.1:80")
	c.drains(t, "127.0.0.1:80")
}

func startContainer(t *testing.T) *container {
	t.Helper()
	r := &root{dir: filepath.Join(vanishing(t), "root")}
	if err := os.Mkdir(r.dir, 0o755); err != nil { //nolint:gosec // the root of a system
		t.Fatal(err)
	}
	mount(t, "tmpfs", r.dir, "tmpfs", "mode=0755")
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
	for _, dir := range []string{"proc", "data", "tmp"} {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil { //nolint:gosec // folders of a system
			t.Fatal(err)
		}
	}
	r.write(t, "dev/null", "") // what else is in /dev is not used
	if err := syscall.Mount("/dev/null", filepath.Join(r.dir, "dev/null"), "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", filepath.Join(r.dir, "data"), "tmpfs", fmt.Sprintf("mode=0755,uid=%d,gid=%d", containerUser, containerUser))
	mount(t, "tmpfs", filepath.Join(r.dir, "tmp"), "tmpfs", "mode=1777")
	if err := syscall.Mount("", r.dir, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	// As in a container, every user may open every port.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o600); err != nil {
		t.Skipf("the ports of this network cannot be set: %v", err)
	}
	id := strconv.Itoa(containerUser)
	cmd := exec.CommandContext(t.Context(), "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc",
		"--root="+r.dir, "--wd=/data", "--setuid="+id, "--setgid="+id,
		"/usr/bin/caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "broker")
	// The environment is that of the Dockerfile.
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/data", "XDG_DATA_HOME=/data", "XDG_CONFIG_HOME=/data"}
	process, err := harness.StartProcess(cmd, filepath.Join(vanishing(t), "output.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Kill()
		if t.Failed() {
			t.Log(process.Output())
		}
	})
	caddy := func(stdin io.Reader, args ...string) ([]byte, error) {
		other := exec.CommandContext(t.Context(), "chroot", append([]string{"--userspec=" + id + ":" + id, r.dir, "/usr/bin/caddy"}, args...)...)
		other.Env, other.Stdin = cmd.Env, stdin
		return other.CombinedOutput()
	}
	return &container{
		output: process.Output,
		caddy:  caddy,
		find: func() (int, error) {
			children := childrenOf(t, process.Pid())
			if len(children) != 1 {
				return 0, fmt.Errorf("unshare has %d children", len(children))
			}
			return children[0], nil
		},
		healthy: func() error {
			out, err := caddy(nil, "broker", "check", "--timeout", "3s")
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		},
		code: func() string { return strconv.Itoa(process.ExitCode()) },
	}
}
