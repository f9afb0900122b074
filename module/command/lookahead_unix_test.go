// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package command

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/spf13/pflag"
)

// TestPipesAreLeftToTheCommand: what comes through a pipe is there once, for the command that
// loads it; nothing may read it before, nor wait for it.
func TestPipesAreLeftToTheCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	flags := pflag.NewFlagSet("reload", pflag.ContinueOnError)
	flags.String("address", "", "")
	flags.String("adapter", "", "")
	flags.String("config", file, "")
	if err := os.WriteFile(file, []byte("{\n\tadmin localhost:4321\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := adminOf(flags); got != "localhost:4321" {
		t.Errorf("the broker is looked for at %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := adminOf(flags); got != "" { // it would wait for ever for one who writes
		t.Errorf("the broker is looked for at %q", got)
	}
}
