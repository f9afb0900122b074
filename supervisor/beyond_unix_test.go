// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package supervisor

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// Of a notification that is too long its beginning is read, and the next one is whole.
func TestLongNotification(t *testing.T) {
	t.Parallel()
	n, err := listenNotify(filepath.Join(t.TempDir(), "n"), "")
	if err != nil {
		t.Fatal(err)
	}
	s := &Supervisor{inputs: make(chan request, 64), done: make(chan struct{})}
	p := &process{id: 7, heard: make(chan struct{})}
	go s.hearNotify(p, n)
	defer func() { <-p.heard }()
	defer n.Close()
	program, err := net.Dial("unixgram", n.path)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	say := func(text string) {
		if _, err := program.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	const ready, beat = "\nREADY=1", "\nWATCHDOG=1"
	say(strings.Repeat("x", maxNotification-len(ready)) + ready) // just fits
	if in, ok := (<-s.inputs).in.(inReady); !ok {
		t.Errorf("what fits means %+v", in)
	}
	say(beat + "\n" + strings.Repeat("x", maxNotification) + ready)
	if in, ok := (<-s.inputs).in.(inBeat); !ok {
		t.Errorf("the beginning means %+v", in)
	}
	say(beat)
	if in, ok := (<-s.inputs).in.(inBeat); !ok {
		t.Errorf("what follows means %+v, the end of what was too long or nothing", in)
	}
}

// Whoever has an input for a supervisor that is busy waits for it, or for its end.
func TestInputsHaveABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Supervisor{inputs: make(chan request, maxInputs), done: make(chan struct{})}
		for range maxInputs {
			s.put(inTell{})
		}
		taken := 0
		for range 2 {
			go func() {
				s.put(inTell{})
				taken++
			}()
			synctest.Wait()
		}
		if taken > 0 {
			t.Fatalf("%d were taken though %d wait", taken, len(s.inputs))
		}
		<-s.inputs
		synctest.Wait()
		if taken != 1 || len(s.inputs) != maxInputs {
			t.Errorf("with room for one %d were taken", taken)
		}
		close(s.done)
		synctest.Wait()
		if taken != 2 {
			t.Error("one waits for a supervisor that has ended")
		}
	})
}

// A child's last words are cut before they become a reason that is shown.
func TestLongReasonIsCut(t *testing.T) {
	t.Parallel()
	err := &exits.StartError{Child: "a", Exit: exits.Exit{Code: 2, Stderr: strings.Repeat("x", 10*exits.MaxReason)}}
	if said := err.Error(); len(said) > exits.MaxReason+200 || len(said) < exits.MaxReason/2 {
		t.Errorf("the reason has %d bytes, want some %d", len(said), exits.MaxReason)
	}
}
