// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// TestImage lets a builder make the image of examples/container, and starts compose.yaml
// with it. Where that is not possible, TestContainer does the same steps without a builder.
func TestImage(t *testing.T) {
	t.Parallel()
	if os.Getenv(isolatedEnv) == "" {
		skipShort(t)
		for _, program := range []string{"podman", "podman-compose", "runc"} {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("the program %s is not there: no image is built, and TestContainer does its steps without", program)
			}
		}
		if os.Geteuid() != 0 {
			t.Skip("only root may build images here")
		}
		// What it builds is what a release has, and compiled once.
		if err := releases(); err != nil {
			t.Fatal(err)
		}
		linkGo(t)
	}
	isolated(t, composed, syscall.CLONE_NEWPID)
}

func composed(t *testing.T) {
	p := newPodman(t)
	p.must(t, "podman-compose", "--podman-build-args="+strings.Join(p.mounts(), " "), "build")
	p.standInForCaddy(t)
	p.must(t, "podman-compose", "up", "--detach")
	p.pin(t, "container_default")
	const address = "localhost:8080"
	balancer := p.container(t, "container_balancer_1")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(balancer.output())
		}
		p.end(t)
	})
	balancer.lives(t, address)
	answers := func(want string) {
		t.Helper()
		if err := harness.Until(t.Context(), soon, func() error {
			if body := get(t, address).Body; body != want {
				return fmt.Errorf("the answer is %q", body)
			}
			return nil
		}); err != nil {
			t.Fatalf("waiting for an answer of backend %s: %v", want, err)
		}
	}
	answers("first")
	p.must(t, "podman", "kill", "container_first_1")
	answers("second")
	balancer.drains(t, address)
}
