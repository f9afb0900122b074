// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stream's events are taken as they come, as long as there are not too many.
func TestPaceOfEvents(t *testing.T) {
	p := pace{pause: streamPause, burst: streamBurst}
	now := time.Now()
	for n := range streamBurst {
		if d := p.next(now, 1); d != 0 {
			t.Fatalf("event %d waits %v", n, d)
		}
	}
	for n := 1; n <= 3; n++ {
		if d := p.next(now, 1); d != time.Duration(n)*streamPause {
			t.Errorf("%d too many: waits %v", n, d)
		}
	}
	if d := p.next(now.Add(time.Hour), 1); d != 0 {
		t.Errorf("an hour later it waits %v", d)
	}
}

// streamed follows a stream that says text again and again, with a pause after each, for
// so long, and returns how much was read, what came of it and when.
func streamed(t *testing.T, text string, pause, long time.Duration) (read, events int, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		sent := make(chan int)
		go func() {
			defer close(sent)
			n := 0
			defer func() { sent <- n }()
			for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(pause) {
				wrote, err := theirs.Write([]byte(text))
				if n += wrote; err != nil {
					return
				}
			}
			_ = theirs.Close()
		}()
		began := time.Now()
		nc := newPacedConn(t.Context(), ours)
		err = follow(t.Context(), nc, nc, func(string, []byte) { events++ })
		took = time.Since(began)
		_ = ours.Close()
		read = <-sent
	})
	return read, events, took, err
}

// A backend that streams what is none of our events is given up before it has cost
// anything; one that is quiet, or says the same all the time, is not.
func TestUselessStreamsAreGivenUp(t *testing.T) {
	for _, c := range []struct {
		name, text   string
		pause        time.Duration
		broken       bool
		atMost       int // bytes that are read
		fewestEvents int
	}{
		{"comments", strings.Repeat(":\n", 1000), 0, true, 20_000, 0},
		{"blank lines", strings.Repeat("\n", 4096), 0, true, 20_000, 0},
		{"data without an event", strings.Repeat("data: "+strings.Repeat("x", 20)+"\n\n", 100), 0, true, 300_000, 0},
		{"long comments", ":" + strings.Repeat("x", 60_000) + "\n", 0, true, 600_000, 0},
		{"events of others", "event: other\ndata: x\n\n", 0, true, 200_000, 0},
		{"a comment now and then", ":\n\n", 15 * time.Second, false, 1 << 20, 0},
		{"our events all the time", "event: rebalance\ndata:\n\n", 0, false, 64 << 20, 24 * 3600},
	} {
		t.Run(c.name, func(t *testing.T) {
			const day = 24 * time.Hour
			read, events, took, err := streamed(t, c.text, c.pause, day)
			if errors.Is(err, errStreamBroken) != c.broken || !c.broken && err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("after %v: %v", took, err)
			}
			if read > c.atMost || events < c.fewestEvents || events > c.fewestEvents+2*streamBurst {
				t.Errorf("%d bytes were read and %d events came", read, events)
			}
			if c.broken && took > 10*time.Minute {
				t.Errorf("it was given up after %v", took)
			}
		})
	}
}
