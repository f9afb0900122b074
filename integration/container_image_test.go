// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

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
		linkGo(t)
	}
	isolated(t, composed, syscall.CLONE_NEWPID)
}

func composed(t *testing.T) {
	p := newPodman(t)
	p.must(t, "podman-compose", "--podman-build-args="+strings.Join(p.mounts(), " "), "build")
	p.standInForCaddy(t)
	p.must(t, "podman-compose", "up", "--detach")
	const address = "localhost:8080"
	balancer, first := p.container(t, "container_balancer_1"), p.container(t, "container_first_1")
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
	first.signal(t, syscall.SIGKILL)
	answers("second")

	// A request in progress has its answer, although the balancer is asked to end.
	second := p.container(t, "container_second_1")
	second.signal(t, syscall.SIGSTOP)
	answer := make(chan *harness.Result, 1)
	go func() {
		client := &harness.Client{Addr: address}
		answer <- client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: http.MethodGet})
	}()
	if err := harness.Until(t.Context(), soon, func() error {
		// It fails, because the first backend is away.
		out, err := balancer.caddy("broker", "status", "--json")
		if !regexp.MustCompile(`"requests": ?[1-9]`).Match(out) {
			return fmt.Errorf("nothing is in progress: %w\n%s", err, out)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	balancer.signal(t, syscall.SIGTERM)
	if err := harness.Until(t.Context(), soon, func() error {
		if !strings.Contains(balancer.output(), "SIGTERM") {
			return errors.New("it has not said so")
		}
		return nil
	}); err != nil {
		t.Fatalf("waiting until the balancer knows of SIGTERM: %v", err)
	}
	second.signal(t, syscall.SIGCONT)
	if res := <-answer; res.Fate != harness.OK {
		t.Errorf("a request in progress at SIGTERM: %s %d (%v)", res.Fate, res.Status, res.Err)
	}
	if code := p.must(t, "podman", "wait", "container_balancer_1"); code != "0" {
		t.Errorf("after SIGTERM the exit code is %s", code)
	}
	if err := balancer.healthy(); err == nil {
		t.Error("a container that has ended is healthy")
	}
}
