// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build lockorder

package lockorder

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

type (
	first  struct{}
	second struct{}
)

// stagedVar names what a process of TestStaged does.
const stagedVar = "LOCKORDER_TEST_STAGED"

// staged are what goroutines do with their locks; ends is what the process says if
// that is forbidden.
var staged = []struct {
	name string
	do   func(a, a2 *Mutex[first], b *RWMutex[second])
	ends string
}{
	{"in order", func(a, _ *Mutex[first], b *RWMutex[second]) {
		a.Lock()
		b.Lock()
		a.Unlock()
		b.Unlock()
		a.Lock()
		a.Unlock()
	}, ""},
	{"inverted", func(a, _ *Mutex[first], b *RWMutex[second]) {
		b.Lock()
		a.Lock()
	}, "lockorder.first is taken while lockorder.second is held"},
	{"inverted by a reader", func(a, _ *Mutex[first], b *RWMutex[second]) {
		b.RLock()
		a.Lock()
	}, "lockorder.first is taken while lockorder.second is held"},
	{"in a handler that recovers", func(a, _ *Mutex[first], b *RWMutex[second]) {
		defer func() { _ = recover() }()
		b.Lock()
		a.Lock()
	}, "lockorder.first is taken while lockorder.second is held"},
	{"twice", func(a, _ *Mutex[first], _ *RWMutex[second]) {
		a.Lock()
		a.Lock()
	}, "lockorder.first is taken while lockorder.first is held"},
	{"two of a class", func(a, a2 *Mutex[first], _ *RWMutex[second]) {
		a.Lock()
		a2.Lock()
	}, "lockorder.first is taken while lockorder.first is held"},
	{"without waiting", func(a, _ *Mutex[first], b *RWMutex[second]) {
		b.Lock()
		if !a.TryLock() {
			panic("the lock is free")
		}
	}, ""},
	{"unlocked elsewhere", func(a, a2 *Mutex[first], _ *RWMutex[second]) {
		a.Lock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.Unlock()
		}()
		<-done
		a2.Lock()
	}, ""},
	{"by two goroutines", func(a, _ *Mutex[first], b *RWMutex[second]) {
		b.Lock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.Lock()
		}()
		<-done
	}, ""},
}

func TestStaged(t *testing.T) {
	if name := os.Getenv(stagedVar); name != "" {
		Order = [][]string{{"lockorder.first", "lockorder.second"}}
		for _, s := range staged {
			if s.name == name {
				s.do(new(Mutex[first]), new(Mutex[first]), new(RWMutex[second]))
			}
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range staged {
		t.Run(s.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestStaged$")
			cmd.Env = append(cmd.Environ(), stagedVar+"="+s.name)
			out, err := cmd.CombinedOutput()
			switch {
			case s.ends == "" && err != nil:
				t.Errorf("%v, want it to be allowed:\n%s", err, out)
			case s.ends != "" && (err == nil || !strings.Contains(string(out), s.ends)):
				t.Errorf("%v, want the process to end with %q:\n%s", err, s.ends, out)
			case s.ends != "" && strings.Count(string(out), "checked_test.go") < 2:
				t.Errorf("want to see where both were taken:\n%s", out)
			}
		})
	}
}
