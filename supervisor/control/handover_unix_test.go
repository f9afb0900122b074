// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package control

import (
	"errors"
	"os"
	"testing"
)

// TestHandedOverInTheMiddleOfAMessage: a connection is handed over, or goes on, while half
// of a message has come in; nothing of it is lost, and what comes meanwhile waits.
func TestHandedOverInTheMiddleOfAMessage(t *testing.T) {
	t.Parallel()
	for _, handed := range []bool{false, true} {
		parent, child := wires(t)
		if _, err := child.conn.Write([]byte(`{"kind":"report","topic":"a"}` + "\n" + `{"kind":"report","top`)); err != nil {
			t.Fatal(err)
		}
		if m, err := parent.Recv(); err != nil || m.Topic != "a" {
			t.Fatalf("received %+v (%v)", m, err)
		}
		waits := make(chan error, 1)
		go func() {
			_, err := parent.Recv()
			waits <- err
		}()
		parent.Pause()
		if err := <-waits; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a pause ends receiving with %v", err)
		}
		goesOn := parent
		if handed {
			done := parent.Still()
			h, err := parent.HandOver()
			done()
			if err != nil {
				t.Fatal(err)
			}
			_ = parent.Close() // as the execution of the next program does
			if goesOn, err = Adopt(h); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = goesOn.Close() })
		} else {
			parent.Resume()
		}
		if _, err := child.conn.Write([]byte(`ic":"b"}` + "\n")); err != nil {
			t.Fatal(err)
		}
		if m, err := goesOn.Recv(); err != nil || m.Topic != "b" {
			t.Fatalf("handed over %t: received %+v (%v)", handed, m, err)
		}
		if err := goesOn.Send(Message{Kind: KindActivate}); err != nil {
			t.Fatal(err)
		}
		if m, err := child.Recv(); err != nil || m.Kind != KindActivate {
			t.Fatalf("handed over %t: the child received %+v (%v)", handed, m, err)
		}
	}
}
