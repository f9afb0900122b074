// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package account

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// Attach gives cmd, which is not started yet, a page, and returns it. It is the caller's
// to close, when it was read.
func Attach(cmd *exec.Cmd) (*os.File, error) {
	page, err := create()
	if err == nil {
		err = page.Truncate(Size)
	}
	if err != nil {
		if page != nil {
			_ = page.Close()
		}
		return nil, fmt.Errorf("creating the account of requests in progress: %w", err)
	}
	// Standard input, output and error come first.
	fd := 3 + len(cmd.ExtraFiles)
	cmd.ExtraFiles = append(cmd.ExtraFiles, page)
	cmd.Env = append(cmd.Env, Env+"="+strconv.Itoa(fd))
	return page, nil
}

// createFile makes a page that is a file without a name.
func createFile() (*os.File, error) {
	f, err := os.CreateTemp("", "caddy-broker-account")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// Inherit takes up the page that this process was given; nil where there is none.
func Inherit() (*Writer, error) {
	value, ok := os.LookupEnv(Env)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(Env)
	fd, err := strconv.Atoi(value)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("descriptor %q of the account of requests in progress: not a number above 2", value)
	}
	defer unix.Close(fd) // what is mapped stays
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, fmt.Errorf("taking up the account of requests in progress: %w", err)
	}
	if info.Size < Size { // that of another version
		return nil, fmt.Errorf("taking up the account of requests in progress: %w", ErrLayout)
	}
	mem, err := unix.Mmap(fd, 0, Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("taking up the account of requests in progress: %w", err)
	}
	return newWriter(mem), nil
}
