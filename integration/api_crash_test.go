// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// TestCrashDuringChange: at whatever step of a change the parent or the child is killed,
// what serves afterwards is one whole configuration, the old one or the new; the new one
// if the change was answered so. The parent finds it by --resume.
func TestCrashDuringChange(t *testing.T) {
	port := freePort(t)
	b := supervised(t, strings.Replace(answer("0"), "restart_delay 100ms", "restart_delay 100ms\n\t\tprobation 0", 1), "PORT="+port)
	b.Args = []string{"run", "--config", "{}", "--resume"}
	answered := 0
	for i, after := range []int{0, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180, 250} { // milliseconds
		old, next := fmt.Sprint(i), fmt.Sprint(i+1)
		change := make(chan *harness.Result)
		go func() { change <- call{Method: "PATCH", Path: body, Body: `"` + next + `"`}.ask(t, b) }()
		<-time.After(time.Duration(after) * time.Millisecond)
		parent := i%3 != 2
		if parent {
			if err := b.Process().Kill(); err != nil {
				t.Fatal(err)
			}
		} else if child, err := b.Child(t.Context(), "default"); err == nil {
			for _, p := range child.Processes {
				if err := killProcess(t, p.Pid); err != nil {
					t.Logf("process %d: %v", p.Pid, err) // it has ended by itself
				}
			}
		}
		res := <-change
		if parent {
			if err := b.Start(); err != nil {
				t.Fatal(err)
			}
		}
		awaitActive(t, b, 0)
		var shown string
		if err := json.Unmarshal([]byte(call{Method: "GET", Path: body}.wants(t, b, 200, "").Body), &shown); err != nil {
			t.Fatal(err)
		}
		answers(t, port, shown)
		want := []string{old, next}
		if res.Status == 200 {
			answered++
			want = []string{next}
		}
		if !slices.Contains(want, shown) {
			t.Fatalf("killed %d ms into the change from %s to %s (parent: %v), which was answered with %d %s: there is %s", after, old, next, parent, res.Status, res.Body, shown)
		}
		call{Method: "PATCH", Path: body, Body: `"` + next + `"`}.wants(t, b, 200, "")
		answers(t, port, next)
	}
	t.Logf("%d changes were answered before or in spite of the kill", answered)
}
