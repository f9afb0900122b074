// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/caddy-broker/caddy-broker/module/internal/fault"
)

func newBudget(n int64) *budget {
	b := new(budget)
	b.max.Store(n)
	return b
}

// closing is a body that notes that it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// TestKeptBodyIsReplayed: whatever attempts read before, each gets the whole body,
// and it is read from the client once.
func TestKeptBodyIsReplayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 2000, 8000).Draw(t, "body")
		known := rapid.Bool().Draw(t, "length is known")
		length := int64(-1)
		if known {
			length = int64(len(text))
		}
		var src io.Reader = strings.NewReader(text)
		if rapid.Bool().Draw(t, "one byte at a time") {
			src = iotest.OneByteReader(src)
		}
		b := newBudget(8 * 8192)
		body := newRequestBody(io.NopCloser(src), length, true, 0, b)
		for range rapid.IntRange(0, 4).Draw(t, "abandoned attempts") {
			v := body.attempt(new(try))
			n := rapid.IntRange(0, len(text)).Draw(t, "read")
			got, err := io.ReadAll(io.LimitReader(v, int64(n)))
			if err != nil || string(got) != text[:n] {
				t.Fatalf("an attempt read %d bytes and %v, want the first %d", len(got), err, n)
			}
			_ = v.Close()
			if !body.replayable() {
				t.Fatal("the body cannot be sent again")
			}
		}
		v := body.attempt(new(try))
		if rapid.Bool().Draw(t, "the response begins early") {
			body.release()
		}
		got, err := io.ReadAll(v)
		if err != nil || string(got) != text {
			t.Fatalf("the last attempt read %d bytes and %v, want all %d", len(got), err, len(text))
		}
		body.release()
		if n := b.used.Load(); n != 0 {
			t.Fatalf("%d bytes of the budget are gone", n)
		}
	})
}

func TestBodyOverTheBudgetIsSentOn(t *testing.T) {
	for name, length := range map[string]int64{"known": 100, "unknown": -1} {
		t.Run(name, func(t *testing.T) {
			b := newBudget(8 * 50)
			text := strings.Repeat("x", 100)
			body := newRequestBody(io.NopCloser(iotest.OneByteReader(strings.NewReader(text))), length, true, 0, b)
			got, err := io.ReadAll(body.attempt(new(try)))
			if err != nil || string(got) != text {
				t.Errorf("read %d bytes and %v", len(got), err)
			}
			if body.replayable() {
				t.Error("a body over the budget can be sent again")
			}
			if n := b.used.Load(); n != 0 {
				t.Errorf("%d bytes of the budget are gone", n)
			}
		})
	}
	t.Run("shared", func(t *testing.T) {
		b := newBudget(800)
		var kept []*requestBody
		for range 20 {
			body := newRequestBody(io.NopCloser(strings.NewReader(strings.Repeat("x", 100))), 100, true, 0, b)
			if _, err := io.ReadAll(body.attempt(new(try))); err != nil {
				t.Fatal(err)
			}
			if body.replayable() {
				kept = append(kept, body)
			}
		}
		if len(kept) != 8 || b.used.Load() != 800 {
			t.Errorf("%d bodies of 100 bytes are kept in %d bytes of 800", len(kept), b.used.Load())
		}
	})
}

// TestBudgetIsGivenBackEarly: no attempt has read all that is kept for it when
// the request ends.
func TestBudgetIsGivenBackEarly(t *testing.T) {
	const text = "twenty bytes of body"
	for name, end := range map[string]func(*requestBody, *bodyView){
		"nobody is left to try": func(rb *requestBody, _ *bodyView) {
			rb.detach()
			rb.release()
		},
		"the response comes early": func(rb *requestBody, v *bodyView) {
			rb.release()
			if _, err := io.ReadAll(io.LimitReader(v, 5)); err != nil {
				t.Error(err)
			}
			_ = v.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBudget(1000)
			rb := newRequestBody(&closing{Reader: strings.NewReader(text)}, int64(len(text)), true, 0, b)
			if _, err := io.ReadAll(rb.attempt(new(try))); err != nil || b.used.Load() == 0 {
				t.Fatalf("%v, %d bytes are kept", err, b.used.Load())
			}
			rb.detach()
			end(rb, rb.attempt(new(try)))
			if n := b.used.Load(); n != 0 {
				t.Errorf("%d bytes are kept", n)
			}
		})
	}
}

// TestUnkeptBody is what it would be without the wrapper.
func TestUnkeptBody(t *testing.T) {
	src := &closing{Reader: strings.NewReader("body")}
	body := newRequestBody(src, 4, false, 0, newBudget(1000))
	v := body.attempt(new(try))
	_ = v.Close()
	if src.closed || !body.replayable() {
		t.Error("a dial that fails closed the body")
	}
	v = body.attempt(new(try))
	if _, err := io.ReadAll(io.LimitReader(v, 2)); err != nil {
		t.Fatal(err)
	}
	_ = v.Close()
	if !src.closed || body.replayable() {
		t.Error("a body that was begun and not kept can be sent again")
	}
	if body.failure() != nil {
		t.Error("that is no fault of the client")
	}
}

func TestBodyThatFails(t *testing.T) {
	boom := errors.New("boom")
	body := newRequestBody(io.NopCloser(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(boom))), 8, true, 0, newBudget(1000))
	if _, err := io.ReadAll(body.attempt(new(try))); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if body.replayable() || !errors.Is(body.failure(), boom) {
		t.Error("a body whose reading failed can be sent again")
	}
}

// TestLateReaderOfAnEndedAttempt: what it still gets from the client belongs to
// the attempt that goes on.
func TestLateReaderOfAnEndedAttempt(t *testing.T) {
	pr, pw := io.Pipe()
	body := newRequestBody(pr, -1, true, 0, newBudget(1000))
	old := body.attempt(new(try))
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_, _ = old.Read(make([]byte, 10))
	}()
	next := body.attempt(new(try))
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(next)
		got <- string(b)
	}()
	for _, s := range []string{"one ", "two ", "three"} {
		if _, err := io.WriteString(pw, s); err != nil {
			t.Fatal(err)
		}
	}
	_ = pw.Close()
	if s := <-got; s != "one two three" {
		t.Errorf("the next attempt read %q", s)
	}
	<-reading
	if _, err := old.Read(make([]byte, 10)); err == nil {
		t.Error("an ended attempt reads on")
	}
}

// gated is a body whose reading waits for its text.
type gated struct {
	reading chan struct{} // one for each Read that waits
	text    chan string   // closed at its end
}

func (g *gated) Read(p []byte) (int, error) {
	g.reading <- struct{}{}
	s, ok := <-g.text
	if !ok {
		return 0, io.EOF
	}
	return copy(p, s), nil
}

// TestLateLookForTheEnd: an attempt that was given the whole body finds its end, also
// once it is given up; without a declared length nothing says that it is the end.
func TestLateLookForTheEnd(t *testing.T) {
	for _, tc := range []struct {
		length, read int64
		want         error
	}{{4, 4, io.EOF}, {4, 3, errBodyDetached}, {4, 0, errBodyDetached}, {-1, 4, errBodyDetached}} {
		for _, again := range []bool{false, true} {
			body := newRequestBody(io.NopCloser(strings.NewReader("text")), tc.length, true, 0, newBudget(1000))
			v := body.attempt(new(try))
			if again {
				if _, err := io.ReadFull(v, make([]byte, 3)); err != nil {
					t.Fatal(err)
				}
				v = body.attempt(new(try)) // gets what is kept, then what comes
			}
			if _, err := io.ReadFull(v, make([]byte, tc.read)); err != nil {
				t.Fatal(err)
			}
			body.detach()
			if n, err := v.Read(make([]byte, 1)); n != 0 || !errors.Is(err, tc.want) {
				t.Errorf("%+v, again %t: read %d bytes, %v", tc, again, n, err)
			}
			if all, err := io.ReadAll(body.attempt(new(try))); string(all) != "text" || err != nil {
				t.Errorf("%+v: the next attempt got %q, %v", tc, all, err)
			}
		}
	}
}

// TestLateByteIsNotLost: an attempt that was given up still waits for the client,
// and gets a byte when the next one has begun, or before, or when nothing is kept
// any more. Whatever comes, the next attempt has the whole body.
func TestLateByteIsNotLost(t *testing.T) {
	for _, tc := range []struct {
		name   string
		keep   bool
		budget int64
		before string // read by the first attempt
		when   func(body *requestBody)
	}{
		{name: "not kept"},
		{name: "kept", keep: true, budget: 1000, before: "x"},
		{name: "over the budget", keep: true, budget: 8, before: "x"},
		{name: "response began", keep: true, budget: 1000, before: "x", when: (*requestBody).release},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, before the next attempt %t", tc.name, early), func(t *testing.T) {
				src := &gated{make(chan struct{}), make(chan string)}
				bg := newBudget(tc.budget)
				body := newRequestBody(io.NopCloser(src), -1, tc.keep, 0, bg)
				old := body.attempt(new(try))
				late := make(chan struct{})
				go func() {
					defer close(late)
					for range len(tc.before) + 1 {
						_, _ = old.Read(make([]byte, 1))
					}
				}()
				for _, c := range tc.before {
					<-src.reading
					src.text <- string(c)
				}
				<-src.reading
				body.detach()
				if !body.replayable() {
					t.Fatal("the body cannot be sent again")
				}
				if early {
					src.text <- "y"
					<-late
				}
				next := body.attempt(new(try))
				var got []byte
				if tc.before != "" { // it has begun when the byte comes
					p := make([]byte, 1)
					n, err := next.Read(p)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, p[:n]...)
				}
				if tc.when != nil {
					tc.when(body)
				}
				if !early {
					src.text <- "y"
					<-late
				}
				go func() {
					<-src.reading
					src.text <- "z"
					<-src.reading
					close(src.text)
				}()
				rest, err := io.ReadAll(next)
				if got = append(got, rest...); err != nil || string(got) != tc.before+"yz" {
					t.Errorf("the next attempt read %q and %v, want %q", got, err, tc.before+"yz")
				}
				body.release()
				if n := bg.used.Load(); n != 0 {
					t.Errorf("%d bytes of the budget are gone", n)
				}
			})
		}
	}
}

// TestOpenBody: one that may be a conversation is closed with the attempt, unless the
// client had ended it.
func TestOpenBody(t *testing.T) {
	for name, ended := range map[string]bool{"in the middle": false, "after its end": true} {
		t.Run(name, func(t *testing.T) {
			src := &closing{Reader: strings.NewReader("text")}
			body := newRequestBody(src, -1, true, 0, newBudget(1000))
			body.open = true
			v := body.attempt(new(try))
			var err error
			if ended {
				_, err = io.Copy(io.Discard, v)
			} else {
				_, err = io.ReadFull(v, make([]byte, 4))
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = v.Close()
			if src.closed == ended || body.replayable() != ended {
				t.Errorf("closed %t, can be sent again %t", src.closed, body.replayable())
			}
			body.release()
			if n := body.budget.used.Load(); n != 0 {
				t.Errorf("%d bytes of the budget are gone", n)
			}
		})
	}
}

// TestBodyWithoutItsBeginningIsNotSent: an attempt that cannot have all of it fails.
func TestBodyWithoutItsBeginningIsNotSent(t *testing.T) {
	body := newRequestBody(io.NopCloser(strings.NewReader("text")), 4, false, 0, newBudget(1000))
	if _, err := io.ReadFull(body.attempt(new(try)), make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(body.attempt(new(try))); !errors.Is(err, fault.ErrBodyNotKept) || len(b) > 0 {
		t.Errorf("read %q and %v", b, err)
	}
}
