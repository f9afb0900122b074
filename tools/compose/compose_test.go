// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestExample reads the file as docker compose does, which refuses what it does not know,
// and wants the files that it names, and what the broker needs of its container.
func TestExample(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{"../../examples/container/compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	balancer, err := project.GetService("balancer")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(balancer.Build.Context, balancer.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	for _, volume := range balancer.Volumes {
		if volume.Type == "bind" {
			if _, err := os.Stat(volume.Source); err != nil {
				t.Error(err)
			}
		}
	}
	// Without it, containers are killed after 10 s.
	if grace := balancer.StopGracePeriod; grace == nil || time.Duration(*grace) <= 10*time.Second {
		t.Errorf("the container may be killed after %v, before its requests are finished", grace)
	}
	if !balancer.ReadOnly || len(balancer.CapDrop) != 1 || balancer.CapDrop[0] != "ALL" {
		t.Error("the container has more rights than it needs")
	}
}
