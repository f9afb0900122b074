// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build builds this repository's Caddy into dir and returns its path. Most of it
// comes out of Go's build cache; the tags are those of Caddy's own releases.
func Build(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "caddy")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", "nobadger,nomysql,nopgx",
		"-o", bin, "github.com/caddy-broker/caddy-broker/cmd/caddy")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building caddy: %w\n%s", err, out)
	}
	// The kernel names a process's program without symbolic links.
	return filepath.EvalSymlinks(bin)
}
