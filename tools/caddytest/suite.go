// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	caddy       = "github.com/caddyserver/caddy/v2"
	integration = "caddytest/integration"
	// ownTest is the test that through_test.go adds.
	ownTest = "TestThroughBroker"
)

// through joins the tests of Caddy.
//
//go:embed testdata/through_test.go
var through []byte

// suite is the tests, built twice.
type suite struct {
	work string
	// stock and ours are the programs, with the folders that they run in.
	stock, ours       string
	stockDir, oursDir string
}

// build makes both programs in the folder work. Stock's is built from the module
// cache. For ours Caddy's module is copied, because Go allows no file to be added
// there, and one file joins the tests; it has the lock order checked.
func build(work string) (*suite, error) {
	out, err := goTool("list", "-m", "-f", "{{.Dir}}", caddy)
	if err != nil {
		return nil, err
	}
	cached := strings.TrimSpace(out)
	copied := filepath.Join(work, "caddy")
	if *keep != "" {
		if copied, err = filepath.Abs(filepath.Join(*keep, filepath.Base(cached))); err != nil {
			return nil, err
		}
	}
	s := &suite{
		work:  work,
		stock: filepath.Join(work, "stock.test"), stockDir: filepath.Join(cached, integration),
		ours: filepath.Join(work, "ours.test"), oursDir: filepath.Join(copied, integration),
	}
	if err := copyOnce(cached, copied); err != nil {
		return nil, fmt.Errorf("copying %s: %w", cached, err)
	}
	joined := filepath.Join(s.oursDir, "through_test.go")
	if err := os.WriteFile(joined, through, 0o600); err != nil {
		return nil, err
	}
	modfile, err := withCopy(work, copied)
	if err != nil {
		return nil, err
	}
	pkg := caddy + "/" + integration
	if _, err := goTool("test", "-c", "-o", s.stock, pkg); err != nil {
		return nil, err
	}
	if _, err := goTool("test", "-c", "-tags=lockorder", "-mod=mod", "-modfile="+modfile, "-o", s.ours, pkg); err != nil {
		return nil, err
	}
	return s, nil
}

// copyOnce copies a folder, unless that was done before.
func copyOnce(from, to string) error {
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := to + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.CopyFS(part, os.DirFS(from)); err != nil {
		return err
	}
	return os.Rename(part, to)
}

// withCopy writes a go.mod like the plugin's, with Caddy replaced by the copy.
func withCopy(work, copied string) (modfile string, err error) {
	for _, name := range []string{"go.mod", "go.sum"} {
		text, readErr := os.ReadFile(filepath.Join(*root, name))
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(work, name), text, 0o600))
	}
	if err != nil {
		return "", err
	}
	modfile = filepath.Join(work, "go.mod")
	_, err = goTool("mod", "edit", "-replace="+caddy+"="+copied, modfile)
	return modfile, err
}

// goTool runs the go command in the plugin's module.
func goTool(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = *root
	var out, problem strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("running go %s: %w\n%s", strings.Join(args, " "), err, &problem)
	}
	return out.String(), nil
}
