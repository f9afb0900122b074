// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package winservice

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// DefaultName is the name of a service that is given none.
const DefaultName = "caddy-broker"

// maxName is how long Windows lets a name be.
const maxName = 256

// Service is what is registered.
type Service struct {
	Name string
	// Program is the absolute path of the program, and Args are its arguments.
	Program string
	Args    []string
}

// CheckName returns why Windows would not take the name of a service, or nil.
func CheckName(name string) error {
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("naming service %q: a name has 1 to %d characters, and neither / nor \\", name, maxName)
	}
	return nil
}

// Plan is the service that runs program with the file config, supervised. Both have to
// be there; what the file says is for the service to find out.
func Plan(name, program, config string) (Service, error) {
	if err := CheckName(name); err != nil {
		return Service{}, err
	}
	if config == "" {
		config = "Caddyfile"
	}
	paths := []string{program, config}
	for i, path := range paths {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return Service{}, fmt.Errorf("planning service %s: %w", name, err)
		}
		info, err := os.Stat(absolute)
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a folder", absolute)
		}
		if err != nil {
			return Service{}, fmt.Errorf("planning service %s: %w; name the configuration with --config", name, err)
		}
		paths[i] = absolute
	}
	return Service{Name: name, Program: paths[0], Args: []string{"run", "--config", paths[1], "--adapter", "broker"}}, nil
}
