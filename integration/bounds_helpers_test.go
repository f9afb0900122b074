// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// memory is what a process takes, in bytes, by a field of its status.
func memory(t *testing.T, pid int, field string) int {
	t.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name != field {
			continue
		}
		kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		if err != nil {
			t.Fatal(err)
		}
		return kB << 10
	}
	t.Fatalf("the status of process %d has no %s", pid, field)
	return 0
}

// growth watches how much larger a process becomes than it is now. The function that
// it returns is how much at most, in bytes.
func growth(t *testing.T, pid int) (most func() int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err) // the peak begins anew
	}
	before := memory(t, pid, "VmRSS")
	return func() int {
		t.Helper()
		return memory(t, pid, "VmHWM") - before
	}
}

// undisturbed sends requests while an attack runs, and wants all of them answered.
func undisturbed(t *testing.T, addr string, attack func()) {
	t.Helper()
	load := harness.Load{Client: &harness.Client{Addr: addr}, Rate: 50, Name: "others"}
	run := load.Start(t.Context())
	sent(t, run, 25)
	attack()
	sent(t, run, run.Sent()+25)
	served(t, run.Stop())
}
