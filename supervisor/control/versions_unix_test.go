// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package control

import (
	"errors"
	"reflect"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// say writes a line as another version of this program would.
func say(t *testing.T, w *Wire, line string) {
	t.Helper()
	if _, err := w.conn.Write([]byte(line + "\n")); err != nil {
		t.Fatal(err)
	}
}

// A child takes from a newer parent what it knows, in order, and from an older one
// what that says, with zero values for the rest.
func TestParentOfAnotherVersion(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	link := &Link{wire: child, pending: make(map[uint64]chan Message)}
	var got []string
	served := make(chan struct{})
	go func() {
		defer close(served)
		link.Serve(Orders{
			Activate: func() { got = append(got, "activate") },
			Packets:  func() { got = append(got, "packets") },
			Drain:    func(timeout time.Duration) { got = append(got, "drain "+timeout.String()) },
			Stop:     func(mode Mode) { got = append(got, "stop "+string(mode)) },
			Orphaned: func(error) { got = append(got, "orphaned") },
		})
	}()
	say(t, parent, `{"kind":"hibernate","until":{"hour":7}}`)
	say(t, parent, `{"kind":"activate","weight":0.5,"zones":["a"]}`)
	say(t, parent, `{"kind":"drain","timeout":1000000000,"why":"newer"}`)
	say(t, parent, `{}`)
	say(t, parent, `{"kind":"drain"}`)
	say(t, parent, `{"kind":"stop","mode":"immediate"}`)
	_ = parent.Close()
	<-served
	want := []string{"activate", "drain 1s", "drain 0s", "stop immediate", "orphaned"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("it was told %q, want %q", got, want)
	}
}

// A field that is known keeps its type: one that has another one ends the connection,
// and is not taken for its zero value, which could mean "for ever".
func TestFieldOfAnotherType(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	say(t, parent, `{"kind":"drain","timeout":"1s"}`)
	if m, err := child.Recv(); err == nil {
		t.Errorf("it was read as %+v", m)
	}
}

// A parent that knows no answer to a report keeps a child waiting once, and no report
// after that, until it answers one.
func TestParentThatAnswersNoReport(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	link := &Link{wire: child, pending: make(map[uint64]chan Message)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		link.Serve(Orders{Orphaned: func(error) {}})
	}()
	link.mute.Store(true) // as after the first time
	heard := make(chan Message)
	go func() {
		for {
			m, err := parent.Recv()
			if err != nil {
				close(heard)
				return
			}
			heard <- m
		}
	}()
	unanswered := make(chan error, 1)
	go func() { unanswered <- link.Deliver("pools", nil) }()
	first := <-heard
	if err := <-unanswered; !errors.Is(err, ErrUnanswered) {
		t.Errorf("the report: %v", err)
	}
	link.mu.Lock()
	if n := len(link.pending); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
	link.mu.Unlock()
	say(t, parent, `{"kind":"reported","id":`+strconv.FormatUint(first.ID, 10)+`}`)
	for link.mute.Load() {
		runtime.Gosched()
	}
	go func() { unanswered <- link.Deliver("pools", nil) }()
	second := <-heard
	say(t, parent, `{"kind":"reported","id":`+strconv.FormatUint(second.ID, 10)+`,"error":"no"}`)
	if err := <-unanswered; err == nil || err.Error() != "no" {
		t.Errorf("when it answers again: %v", err)
	}
	_ = parent.Close()
	<-served
	<-heard
}
