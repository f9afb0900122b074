// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package generations

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that takes no more holds up none of those who load, who ask for the list, or who
// want to start what served last.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "g.json")
	if err := unix.Mkfifo(file+".new", 0o600); err != nil { // who opens it to write waits for one who reads
		t.Fatal(err)
	}
	told := make(chan error, 1)
	var s Store
	s.Keep(file, func(err error) { told <- err })
	defer s.Keep("", nil)
	s.Served(of("[1]"))
	s.Served(of("[2]"))
	s.Refuse(refused("[2]"))
	if g, _ := s.Instead(Digest([]byte("[2]"))); g == nil || numbers(&s) != "2:test 1:test" {
		t.Errorf("instead is %+v of %s", g, numbers(&s))
	}
	pipe, err := os.Open(file + ".new")
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	s.Sync()
	if err := <-told; err == nil { // no pipe can be made to outlast a loss of power
		t.Error("it was written")
	}
}
