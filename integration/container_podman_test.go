// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// podmanConf lets Podman keep all that it has in one folder, and do without systemd, shared
// memory and limits above those of this process.
const podmanConf = `[containers]
cgroups = "no-conmon"
default_ulimits = ["nofile=%[1]d:%[1]d", "nproc=%[2]d:%[2]d"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
lock_type = "file"
events_logger = "file"
tmp_dir = "/run/libpod"
[network]
network_config_dir = "/run/networks"
`

const podmanStorage = `[storage]
driver = "vfs"
graphroot = "%s"
runroot = "/run/containers"
`

// podman makes images and containers, in namespaces of the test's own.
type podman struct {
	dir string // what it keeps
}

// linkGo leaves links to what this machine's Go has compiled and downloaded, for a test that
// runs isolated: with them an image is built without the network, and soon.
func linkGo(t *testing.T) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "go", "mod", "download").CombinedOutput(); err != nil {
		t.Skipf("the modules that an image is built of cannot be had: %v\n%s", err, out)
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOROOT"} {
		dir, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(string(bytes.TrimSpace(dir)), filepath.Join(scratch, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
	}
}

// newPodman skips the test where no image can be built or no container started, with what
// Podman says.
func newPodman(t *testing.T) *podman {
	t.Helper()
	dir, err := os.MkdirTemp("", "podman") //nolint:usetesting // what is mounted there goes later than that of testing
	if err != nil {
		t.Fatal(err)
	}
	// What it notes of images is there, wherever else it keeps the rest.
	mount(t, "tmpfs", "/var/lib", "tmpfs", "mode=0755")
	p := &podman{dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	var files, processes unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &processes); err != nil {
		t.Fatal(err)
	}
	conf := &root{dir: p.dir}
	conf.write(t, "containers.conf", fmt.Sprintf(podmanConf, files.Max, processes.Max))
	conf.write(t, "storage.conf", fmt.Sprintf(podmanStorage, filepath.Join(p.dir, "storage")))
	p.standIn(t)
	probe := append([]string{"run", "--rm", "--network=none"}, p.mounts()...)
	if out, err := p.command(t, "podman", append(probe, "localhost/probe", "true")...).CombinedOutput(); err != nil {
		t.Skipf("no container can be started here: %v\n%s", err, out)
	}
	return p
}

// standIn makes an image with the name of the one that the Dockerfile begins with, from what
// this machine has: its Go, its shell and its libraries come as volumes.
func (p *podman) standIn(t *testing.T) {
	t.Helper()
	dockerfile, err := os.ReadFile("../examples/container/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`(?m)^FROM (golang:(\S+)) AS build$`).FindSubmatch(dockerfile)
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	// The image takes no other Go than its own.
	if name == nil || !regexp.MustCompile(`(?m)^go `+regexp.QuoteMeta(string(name[2]))+`(\.|$)`).Match(module) {
		t.Fatalf("the Dockerfile is not built by the version of Go that go.mod asks for: %q", name)
	}
	if !strings.HasPrefix(runtime.Version(), "go"+string(name[2])) {
		t.Skipf("the Dockerfile asks for Go %s, this is %s", name[2], runtime.Version())
	}
	base := &root{dir: filepath.Join(p.dir, "base")}
	base.write(t, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	for _, dir := range []string{"bin", "lib", "lib64", "sbin"} {
		if err := os.Symlink("usr/"+dir, filepath.Join(base.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	build := p.command(t, "podman", append(append([]string{"build"}, p.mounts()...), "--tag=docker.io/library/"+string(name[1]), "--tag=localhost/probe", "--file=-", base.dir)...)
	// As the image of Go has it, but for the proxy: all modules are there.
	build.Stdin = strings.NewReader(`FROM scratch
COPY . /
ENV PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOPATH=/go GOTOOLCHAIN=local GOPROXY=off
RUN mkdir -m 1777 /tmp && go version
`)
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("no image can be built here: %v\n%s", err, out)
	}
}

// standInForCaddy makes an image with the name of the one that compose.yaml has as backends,
// from the one that was built: "caddy respond" is the same in both.
func (p *podman) standInForCaddy(t *testing.T) {
	t.Helper()
	build := p.command(t, "podman", "build", "--tag=docker.io/library/caddy:2", "--file=-", filepath.Join(p.dir, "tmp"))
	build.Stdin = strings.NewReader("FROM localhost/container_balancer\nENTRYPOINT []\nHEALTHCHECK NONE\nUSER 0\n")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// mounts are the volumes of a build.
func (p *podman) mounts() (volumes []string) {
	for _, dir := range []string{"/usr/bin", "/usr/lib", "/usr/lib64", "/usr/sbin", "/etc/ssl"} {
		volumes = append(volumes, "--volume="+dir+":"+dir+":ro")
	}
	for name, dir := range map[string]string{"GOROOT": "/usr/local/go:ro", "GOCACHE": "/root/.cache/go-build", "GOMODCACHE": "/go/pkg/mod"} {
		volumes = append(volumes, "--volume="+filepath.Join(os.TempDir(), name)+":"+dir)
	}
	return volumes
}

// command is one of podman or podman-compose, in the folder of compose.yaml. It may be used
// when the test is over, and ends with the namespace of its processes.
func (p *podman) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	cmd.Dir = "../examples/container"
	cmd.Env = append(os.Environ(),
		"CONTAINERS_CONF="+filepath.Join(p.dir, "containers.conf"), "CONTAINERS_STORAGE_CONF="+filepath.Join(p.dir, "storage.conf"),
		"TMPDIR="+filepath.Join(p.dir, "tmp"), "BUILDAH_ISOLATION=chroot", "BUILDAH_LAYERS=false", "BUILDAH_FORMAT=docker")
	return cmd
}

// must is a command that succeeds; it returns its standard output.
func (p *podman) must(t *testing.T, name string, args ...string) string {
	t.Helper()
	var complaints bytes.Buffer
	cmd := p.command(t, name, args...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, complaints.Bytes())
	}
	return strings.TrimSpace(string(out))
}

// pin keeps the hardware address of a network's bridge: that of a bridge changes when a
// container goes, and then it takes seconds until the others find their gateway again.
func (p *podman) pin(t *testing.T, network string) {
	t.Helper()
	bridge, err := net.InterfaceByName(p.must(t, "podman", "network", "inspect", "--format={{.NetworkInterface}}", network))
	if err != nil {
		t.Fatal(err)
	}
	ip(t, fmt.Sprintf("link set %s address %s", bridge.Name, bridge.HardwareAddr))
}

// end removes all containers, and the control groups that they were in.
func (p *podman) end(t *testing.T) {
	t.Helper()
	if out, err := p.command(t, "podman", "rm", "--all", "--force", "--time=0").CombinedOutput(); err != nil {
		t.Errorf("removing the containers: %v\n%s", err, out)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/libpod_parent")
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		_ = os.Remove(group) // unless another Podman uses it
	}
}

// container is one that runs.
func (p *podman) container(t *testing.T, name string) *container {
	t.Helper()
	output := func(args ...string) ([]byte, error) { return p.command(t, "podman", args...).CombinedOutput() }
	return &container{
		caddy: func(stdin io.Reader, args ...string) ([]byte, error) {
			cmd := p.command(t, "podman", append([]string{"exec", "--interactive", name, "/usr/bin/caddy"}, args...)...)
			cmd.Stdin = stdin
			return cmd.CombinedOutput()
		},
		find: func() (int, error) {
			out, err := p.command(t, "podman", "inspect", "--format={{.State.Pid}}", name).Output()
			if err != nil {
				return 0, err
			}
			pid, err := strconv.Atoi(string(bytes.TrimSpace(out)))
			if err == nil && pid == 0 {
				err = fmt.Errorf("container %s does not run", name)
			}
			return pid, err
		},
		healthy: func() error {
			out, err := output("healthcheck", "run", name)
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			return err
		},
		output: func() string {
			out, _ := output("logs", name)
			return string(out)
		},
		code: func() string { return p.must(t, "podman", "wait", name) },
	}
}
