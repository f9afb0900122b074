// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

// sends is a body of which a client has sent so many bytes of those it declared.
func sends(t *testing.T, b *budget, client uint32, declared, sent int) *requestBody {
	t.Helper()
	body := newRequestBody(io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", sent)), neverComes{})), int64(declared), true, client, b)
	v := body.attempt(new(try))
	if n, err := io.ReadFull(v, make([]byte, sent)); err != nil {
		t.Fatalf("read %d bytes and %v", n, err)
	}
	return body
}

// neverComes is the rest of a body that never comes.
type neverComes struct{}

func (neverComes) Read([]byte) (int, error) { return 0, errors.New("would wait") }

// Whatever a client declares or sends and does not finish, others' bodies are kept.
func TestStalledUploadsDoNotUseUpTheBudget(t *testing.T) {
	const share = 16 << 10
	for name, sent := range map[string]int{"declared": 1, "almost all sent": share - 1} {
		t.Run(name, func(t *testing.T) {
			b := newBudget(8 * share)
			for range 20 {
				sends(t, b, 1, share, sent)
			}
			for client := range uint32(20) {
				if body := sends(t, b, client+2, 4000, 4000); !body.replayable() {
					t.Errorf("the body of client %d is not kept, %d bytes are used", client+2, b.used.Load())
				}
			}
			if n := b.used.Load(); n > b.max.Load() {
				t.Errorf("%d bytes are used, of %d", n, b.max.Load())
			}
		})
	}
}

// Of one client's bodies the short ones are kept.
func TestShortBodiesArePreferred(t *testing.T) {
	const share = 1000
	b := newBudget(8 * share)
	var long []*requestBody
	for range 8 {
		long = append(long, sends(t, b, 1, share, share))
	}
	if sends(t, b, 1, share, share).replayable() {
		t.Error("a long body took the place of another one as long")
	}
	short := sends(t, b, 1, 10, 10)
	if !short.replayable() {
		t.Error("a short body has no place")
	}
	kept := 0
	for _, body := range long {
		if body.replayable() {
			kept++
		} else if _, err := io.ReadAll(body.attempt(new(try))); !errors.Is(err, fault.ErrBodyNotKept) {
			t.Errorf("one that gave way is read again: %v", err)
		}
	}
	if kept != 7 {
		t.Errorf("%d long ones are kept", kept)
	}
}

// Nothing is kept for ever while others want it.
func TestKeptBodiesAgeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const share = 1000
		b := newBudget(8 * share)
		for client := range uint32(8) {
			sends(t, b, client+1, share, share)
		}
		if sends(t, b, 9, share, share).replayable() {
			t.Error("a body gave way to one as long as itself")
		}
		time.Sleep(keptFor)
		if !sends(t, b, 9, share, share).replayable() {
			t.Errorf("the budget is used up after %v, by bodies that stall", keptFor)
		}
	})
}

// What an attempt is just being sent gives way to nothing.
func TestABodyInUseIsKept(t *testing.T) {
	b := newBudget(800)
	var bodies []*requestBody
	for range 8 {
		body := sends(t, b, 1, 100, 100)
		body.detach() // the attempt has failed, and another one follows
		bodies = append(bodies, body)
	}
	if sends(t, b, 2, 10, 10).replayable() {
		t.Error("a body took the place of one that is about to be sent again")
	}
	for _, body := range bodies {
		v := body.attempt(new(try))
		if _, err := io.ReadFull(v, make([]byte, 50)); err != nil {
			t.Fatal(err)
		}
	}
	if sends(t, b, 2, 10, 10).replayable() {
		t.Error("a body took the place of one that is being sent again")
	}
	for _, body := range bodies {
		body.release()
		body.detach()
		body.release()
	}
	if n := b.used.Load(); n != 0 || len(b.by) != 0 || len(b.kept) != 0 {
		t.Errorf("%d bytes, %d clients and %d bodies are left", n, len(b.by), len(b.kept))
	}
}
