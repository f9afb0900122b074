// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"syscall"
)

// caddyPackage is this repository's Caddy.
const caddyPackage = "cmd/caddy"

// Build builds this repository's Caddy into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	return BuildPackage(ctx, dir, caddyPackage)
}

// BuildPackage builds a program of this repository into dir and returns its path, as it is
// built for a release: packaging then has its parts compiled already.
//
// Go's build cache has no programs, so the last one is kept in the user's cache:
// go build then links only what has changed. What runs is a copy, which no later
// build replaces.
func BuildPackage(ctx context.Context, dir, pkg string) (string, error) {
	name := path.Base(pkg)
	kept, err := keepBuild(dir, name)
	if err != nil {
		return "", err
	}
	defer kept.lock.Close()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "nobadger,nomysql,nopgx",
		"-o", kept.bin, "github.com/caddy-broker/caddy-broker/"+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	bin := filepath.Join(dir, name)
	if err := copyProgram(bin, kept.bin); err != nil {
		return "", fmt.Errorf("copying %s: %w", name, err)
	}
	// The kernel names a process's program without symbolic links.
	return filepath.EvalSymlinks(bin)
}

// keptBuild is where the program is kept, for this process alone until the lock is
// closed.
type keptBuild struct {
	bin  string
	lock *os.File
}

// keepBuild finds the place for this working directory, which is that of the
// package under test: another checkout has another one. Without a cache of the
// user's it is in dir.
func keepBuild(dir, name string) (*keptBuild, error) {
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	place := filepath.Join(dir, "kept")
	if cache, err := os.UserCacheDir(); err == nil {
		place = filepath.Join(cache, "caddy-broker-tests", fmt.Sprintf("%x", sha256.Sum256([]byte(wd)))[:16])
	}
	if err := os.MkdirAll(place, 0o700); err != nil {
		return nil, fmt.Errorf("keeping %s for the next tests: %w", name, err)
	}
	lock, err := os.OpenFile(filepath.Join(place, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	return &keptBuild{filepath.Join(place, name), lock}, nil
}

func copyProgram(to, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close()
		return err
	}
	return dst.Close()
}
