// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// isolatedEnv tells a process that it runs one test in a network of its own, and
// where the built program is.
const isolatedEnv = "CADDY_BROKER_ISOLATED"

// hubIP is the address of the test itself in its network, whose prefix is netBits.
const (
	hubIP   = "10.77.0.254"
	netBits = "/16"
)

// isolated runs a test in a process and a network namespace of its own: no
// address, route or packet of this machine is touched, and the kernel takes all of
// it away when the process ends. The network is a bridge with the address hubIP. More
// namespaces may be asked for, such as CLONE_NEWPID: then every process that the test leaves
// ends with it, too.
func isolated(t *testing.T, test func(*testing.T), more ...uintptr) {
	if os.Getenv(isolatedEnv) != "" {
		if os.Getpid() == 1 {
			mount(t, "proc", "/proc", "proc", "")
		}
		// Names of further namespaces are files; they end with this process, too.
		if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		ip(t, "link set lo up")
		ip(t, "link add bridge type bridge")
		ip(t, "addr add "+hubIP+netBits+" dev bridge")
		ip(t, "link set bridge up")
		test(t)
		return
	}
	skipShort(t)
	if os.Geteuid() != 0 {
		t.Skip("only root may make the network namespaces of this test")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the program ip is not there: install iproute2")
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$")
	if end, ok := t.Deadline(); ok {
		cmd.Args = append(cmd.Args, "-test.timeout="+time.Until(end).String())
	}
	// No proxy of this machine's environment is of use in there.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + scratch, "TMPDIR=" + scratch, isolatedEnv + "=" + bin}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	for _, flag := range more {
		cmd.SysProcAttr.Cloneflags |= flag
	}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skipf("network namespaces are not allowed here: %v", err)
	}
	if err == nil && strings.Contains(string(out), "--- SKIP: "+t.Name()) {
		t.Skipf("in its own network:\n%s", out)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in its own network: %v\n%s", err, out)
		return
	}
	t.Logf("in its own network:\n%s", out)
}

// ip runs one command of iproute2.
func ip(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", command, err, out)
	}
}

// addMachine adds a namespace with these addresses to the network of the test. Its
// port of the bridge has its name with a v in front.
func addMachine(t *testing.T, name string, addresses ...string) {
	t.Helper()
	ip(t, "netns add "+name)
	ip(t, "link add v"+name+" type veth peer name eth0 netns "+name)
	ip(t, "link set v"+name+" master bridge up")
	ip(t, "-n "+name+" link set lo up")
	ip(t, "-n "+name+" link set eth0 up")
	for _, a := range addresses {
		ip(t, "-n "+name+" addr add "+a+netBits+" dev eth0")
	}
}
