// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// service is what loads documents in these tests. It refuses those in which something
// is marked as bad, and can be overtaken.
type service struct {
	current  *Document
	loads    int
	rooms    chan struct{} // nil is always room
	overtake []*Document   // by others, one at each of the next loads
	stopped  error
}

func (s *service) Current() *Document { return s.current }

func (s *service) AwaitRoom() {
	if s.rooms != nil {
		<-s.rooms
	}
}

func (s *service) Load(base, next *Document, _ bool) error {
	s.loads++
	if len(s.overtake) > 0 {
		s.current, s.overtake = s.overtake[0], s.overtake[1:]
	}
	if base != s.current {
		return ErrOvertaken
	}
	if strings.Contains(string(next.JSON()), "bad") {
		return errors.New("loading new config: it is bad")
	}
	if strings.Contains(string(next.JSON()), "undone") {
		return fmt.Errorf("it crashed: %w", ErrUndone)
	}
	s.current = next
	return nil
}

func (s *service) Unchanged() error { return s.stopped }

func parse(t testing.TB, text string) *Document {
	t.Helper()
	d, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func patch(path, body string) Request {
	return Request{Change: &Change{Method: http.MethodPatch, Path: "/config/" + path, Body: []byte(body)}}
}

// together puts requests into a queue before it has room for the first, and returns
// their answers.
func together(t *testing.T, s *service, requests []Request) []error {
	t.Helper()
	answers := make([]error, len(requests))
	synctest.Test(t, func(t *testing.T) {
		s.rooms = make(chan struct{})
		q := NewQueue(s)
		var wg sync.WaitGroup
		for i, r := range requests {
			wg.Go(func() { answers[i] = q.Do(t.Context(), r) })
			synctest.Wait() // they come in this order
		}
		if n := q.Waiting(); n != len(requests) {
			t.Errorf("%d requests wait, want %d", n, len(requests))
		}
		close(s.rooms)
		wg.Wait()
		if n := q.Waiting(); n != 0 {
			t.Errorf("%d requests wait in the end", n)
		}
	})
	return answers
}

// TestEachGetsItsOwnAnswer: of the changes that come together every subset may be bad;
// these are refused, each for itself, and all others made, in one load if none is.
func TestEachGetsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	const n = 6
	for bad := range 1 << n {
		s := &service{current: parse(t, `{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0}`)}
		requests := make([]Request, n)
		for i := range requests {
			value := fmt.Sprint(i + 1)
			if bad&(1<<i) != 0 {
				value = `"bad"`
			}
			requests[i] = patch(string(rune('a'+i)), value)
		}
		answers := together(t, s, requests)
		for i, err := range answers {
			isBad := bad&(1<<i) != 0
			if isBad != (err != nil) {
				t.Errorf("bad %b: change %d is answered %v", bad, i, err)
			}
			want := fmt.Sprintf("%d\n", i+1)
			if isBad {
				want = "0\n"
			}
			if got, _, _ := s.current.Get("/config/" + string(rune('a'+i))); string(got) != want {
				t.Errorf("bad %b: %c is %q, want %q", bad, 'a'+i, got, want)
			}
		}
		if bad == 0 && s.loads != 1 {
			t.Errorf("%d loads for changes that are all good, want 1", s.loads)
		}
		if bad == 1 && s.loads > 5 {
			t.Errorf("%d loads to find a bad one of %d", s.loads, n)
		}
	}
}

// TestAnswersAsIfAlone: what a change meets is what those before it have left, also when
// one of these is refused only by the load.
func TestAnswersAsIfAlone(t *testing.T) {
	t.Parallel()
	put := func(path, body string) Request {
		return Request{Change: &Change{Method: http.MethodPut, Path: "/config/" + path, Body: []byte(body)}}
	}
	s := &service{current: parse(t, `{}`)}
	etag := func(d *Document, path string) string {
		_, tag, err := d.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		return tag
	}
	match := patch("a", "3")
	match.Change.IfMatch = etag(parse(t, `{"a":2}`), "/config/a")
	again := patch("a", "4")
	again.Change.IfMatch = match.Change.IfMatch
	whole := parse(t, `{"a":5}`)
	answers := together(t, s, []Request{
		put("a", `"bad"`),      // fails at the load
		put("a", "2"),          // so the key is not there yet
		put("a", "2"),          // now it is
		match,                  // as it was when its turn came
		again,                  // no more
		{Whole: whole},         // a barrier
		patch("b", "1"),        // not there
		put("b", "1"),          //
		{Whole: parse(t, "7")}, //
	})
	for i, want := range []string{"it is bad", "", "key already exists", "", "If-Match", "", "does not exist", "", ""} {
		if got := fmt.Sprint(answers[i]); want == "" && answers[i] != nil || !strings.Contains(got, want) {
			t.Errorf("request %d: answer %s, want %q", i, got, want)
		}
	}
	if got := string(s.current.JSON()); got != "7" {
		t.Errorf("the document is %s in the end", got)
	}
}

// TestOvertaken: a change that was computed from what another load has replaced in the
// meantime is computed again.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	s := &service{current: parse(t, `{"a":1}`), overtake: []*Document{parse(t, `{"a":2}`), parse(t, `{"b":3,"a":4}`)}}
	if err := NewQueue(s).Do(t.Context(), patch("a", "5")); err != nil {
		t.Fatal(err)
	}
	if got := string(s.current.JSON()); got != `{"a":5,"b":3}` || s.loads != 3 {
		t.Errorf("%s after %d loads", got, s.loads)
	}
}

// TestUnchanged: what serves already is not loaded again, unless that is asked for; it
// is no success where nothing serves.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	s := &service{current: parse(t, `{"a":1}`).From(&Source{File: "/f", Adapter: "x"})}
	q := NewQueue(s)
	same := parse(t, `{"a":1}`).From(&Source{File: "/f", Adapter: "x"})
	for _, c := range []struct {
		name  string
		r     Request
		loads int
	}{
		{"the same", Request{Whole: same}, 0},
		{"by a change", patch("a", "1"), 0},
		{"forced", Request{Whole: same, Force: true}, 1},
		{"another file", Request{Whole: parse(t, `{"a":1}`).From(&Source{File: "/g", Adapter: "x"})}, 1},
		{"no file", Request{Whole: parse(t, `{"a":1}`)}, 1},
	} {
		s.loads = 0
		if err := q.Do(t.Context(), c.r); err != nil || s.loads != c.loads {
			t.Errorf("%s: %d loads (%v), want %d", c.name, s.loads, err, c.loads)
		}
	}
	s.stopped = errors.New("it is stopped")
	if err := q.Do(t.Context(), patch("a", "1")); !errors.Is(err, s.stopped) {
		t.Errorf("nothing serves, and the answer is %v", err)
	}
	s.current = nil
	if err := q.Do(t.Context(), patch("a", "1")); !errors.Is(err, errNone) {
		t.Errorf("there is nothing to change, and the answer is %v", err)
	}
}

// TestGoneSender: a change is made whose sender does not wait for it.
func TestGoneSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &service{current: parse(t, `{"a":1}`), rooms: make(chan struct{})}
		q := NewQueue(s)
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error)
		go func() { answer <- q.Do(ctx, patch("a", "2")) }()
		synctest.Wait()
		cancel()
		if err := <-answer; err == nil {
			t.Error("it was told of a success")
		}
		close(s.rooms)
		synctest.Wait()
		if got := string(s.current.JSON()); got != `{"a":2}` {
			t.Errorf("the document is %s", got)
		}
	})
}

// TestUndoneIsNotTriedInParts: what has served together and was rolled back is not loaded
// again in parts, each of which would serve and be rolled back as well.
func TestUndoneIsNotTriedInParts(t *testing.T) {
	t.Parallel()
	s := &service{current: parse(t, `{"a":0,"b":0,"c":0}`)}
	answers := together(t, s, []Request{patch("a", "1"), patch("b", `"undone"`), patch("c", "3")})
	if s.loads != 1 {
		t.Errorf("%d loads, want one", s.loads)
	}
	for i, err := range answers {
		if !errors.Is(err, ErrUndone) {
			t.Errorf("change %d is answered %v", i, err)
		}
	}
}
