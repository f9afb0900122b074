// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/caddy-broker/caddy-broker/internal/sidebyside"
)

// The test binary runs itself as the programs that share sockets with it: envTest says
// as which.
const envTest = "SOCKETS_TEST"

func TestMain(m *testing.M) {
	programs := map[string]func() int{"inherits": inheritsMain, "listens": listensMain, "binds": bindsMain, "stored": storedMain}
	if program := programs[os.Getenv(envTest)]; program != nil {
		os.Exit(program())
	}
	sidebyside.Tests(8) // they wait for other programs
	goleak.VerifyTestMain(m)
}

// otherProgram starts this binary as another program of the tests, which says a
// line when it is there and ends with its standard input.
func otherProgram(t *testing.T, name string, files []*os.File, args ...string) (line string, end func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), envTest+"="+name), files, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	t.Cleanup(end)
	var said strings.Builder
	for one := make([]byte, 1); ; said.Write(one) {
		if _, err := out.Read(one); err != nil {
			t.Fatalf("%s has ended: %v", name, err)
		}
		if one[0] == '\n' {
			return said.String(), end
		}
	}
}
