// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func newPage() ([]byte, *Writer) {
	mem := make([]byte, Size)
	return mem, newWriter(mem)
}

func read(t *testing.T, mem []byte) *Account {
	t.Helper()
	a, err := Read(bytes.NewReader(mem))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func begin(w *Writer, b Begin) *Entry {
	e := new(Entry)
	w.Begin(e, &b)
	return e
}

// What is in progress can be read at every step of a request.
func TestEntry(t *testing.T) {
	mem, w := newPage()
	begun := time.Unix(1_900_000_000, 5)
	e := begin(w, Begin{Time: begun.UnixNano(), Method: "POST", Host: "shop.test", Path: "/order", ID: "7", Key: &[32]byte{1}, Unsafe: true, Open: true})
	want := Request{
		Begun: begun, Method: "POST", Host: "shop.test", Path: "/order", ID: "7",
		KeyHash: "01" + strings.Repeat("00", 31), Unsafe: true, Open: true,
	}
	check := func(step string) {
		t.Helper()
		if got := read(t, mem).Requests; !reflect.DeepEqual(got, []Request{want}) {
			t.Errorf("%s: %+v\nwant %+v", step, got, want)
		}
		if got, ok := e.Request(); !ok || got != want {
			t.Errorf("%s: it has %+v itself\nwant %+v", step, got, want)
		}
	}
	check("begun")
	e.Carried("shop")
	want.Pool, want.Open = "shop", false
	check("carried")
	e.At("shop", "http://10.0.0.1:80")
	want.Pool, want.Backend = "shop", "http://10.0.0.1:80"
	check("chosen")
	e.Written()
	want.Written = true
	check("written")
	e.Unwritten()
	want.Written = false
	check("not processed")
	e.Written()
	e.Told()
	want.Written, want.Told = true, true
	check("told")
	e.End()
	e.Written() // too late
	e.At("late", "late")
	if r, ok := e.Request(); ok {
		t.Errorf("over: it has %+v itself", r)
	}
	if a := read(t, mem); !reflect.DeepEqual(a, &Account{}) {
		t.Errorf("over: %+v", a)
	}
	// Nothing of it is in the next one at its place.
	next := begin(w, Begin{Time: begun.UnixNano(), Method: "GET"})
	e.mark(flagWritten, 0)
	for range shards { // at every first place of a list
		next = begin(w, Begin{Time: begun.UnixNano(), Method: "GET"})
	}
	next.mark(0, flagOpen)
	for _, r := range read(t, mem).Requests {
		if r != (Request{Begun: begun, Method: "GET"}) {
			t.Errorf("the next is %+v", r)
		}
	}
}

// A process that ends in the middle of writing leaves what was known before.
func TestTorn(t *testing.T) {
	mem, w := newPage()
	e := begin(w, Begin{Method: "POST", Unsafe: true})
	e.At("a", "b")
	e.Written()
	e.slot.turn.Add(1) // in the middle of noting another backend
	f := begin(w, Begin{Method: "PUT"})
	f.slot.state.Store(f.use | flagFilling)
	a := read(t, mem)
	if a.Torn != 1 || len(a.Requests) != 1 || a.Requests[0].Pool != "" || a.Requests[0].Backend != "" || !a.Requests[0].Written {
		t.Errorf("%+v", a)
	}
}

// Requests for which there is no room are counted, and get room again.
func TestMoreRequestsThanSlots(t *testing.T) {
	mem, w := newPage()
	var all []*Entry
	for i := range Slots + 5 {
		all = append(all, begin(w, Begin{Method: "POST", ID: fmt.Sprint(i), Unsafe: i%2 == 0}))
	}
	all[Slots].Written() // does nothing
	all[Slots].At("a", "b")
	ids := make(map[string]bool)
	a := read(t, mem)
	for _, r := range a.Requests {
		ids[r.ID] = true
	}
	if n, err := Count(bytes.NewReader(mem)); n != Slots+5 || err != nil {
		t.Errorf("counted are %d, %v", n, err)
	}
	if len(ids) != Slots || a.More != 5 || a.MoreUnsafe != 3 {
		t.Errorf("%d have an entry, and %d more, %d of them unsafe", len(ids), a.More, a.MoreUnsafe)
	}
	for _, e := range all {
		e.End()
	}
	if a := read(t, mem); !reflect.DeepEqual(a, &Account{}) {
		t.Errorf("over: %+v", a)
	}
	if n, err := Count(bytes.NewReader(mem)); n != 0 || err != nil {
		t.Errorf("over: counted are %d, %v", n, err)
	}
	for range Slots {
		if e := begin(w, Begin{}); e.slot == nil {
			t.Fatal("a slot was lost")
		}
	}
}

// Slots are handed out once, however many ask for them.
func TestManyAtOnce(t *testing.T) {
	mem, w := newPage()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 5_000 {
				id := fmt.Sprint(i, "-", n)
				e := begin(w, Begin{ID: id, Path: id})
				e.At(id, id)
				if got := string(e.slot.id[:len(id)]) + string(e.slot.pool[:len(id)]); got != id+id {
					t.Errorf("the slot of %s has %s", id, got)
				}
				e.End()
			}
		})
	}
	wg.Wait()
	if a := read(t, mem); !reflect.DeepEqual(a, &Account{}) {
		t.Errorf("over: %+v", a)
	}
}

func TestLongTexts(t *testing.T) {
	mem, w := newPage()
	long := strings.Repeat("x", 1<<17) // more than is counted
	begin(w, Begin{Method: long, Host: long, Path: "/\x1b[2J" + long, ID: long}).At(long, long)
	r := read(t, mem).Requests[0]
	for _, text := range []string{r.Method, r.Host, r.Path, r.ID, r.Pool, r.Backend} {
		if !strings.HasSuffix(text, "x...") || len(text) > 400 || strings.Contains(text, "\x1b") {
			t.Errorf("%q", text)
		}
	}
}

// Without an account nothing of it does anything.
func TestNoAccount(t *testing.T) {
	var w *Writer
	e := begin(w, Begin{Method: "POST"})
	e.Carried("shop")
	e.At("a", "b")
	e.Written()
	if r, ok := e.Request(); ok {
		t.Errorf("it has %+v", r)
	}
	e.End()
}

// Only what may have been executed is in doubt.
func TestInDoubt(t *testing.T) {
	for _, c := range []struct {
		r    Request
		want bool
	}{
		{Request{Unsafe: true, Written: true}, true},
		{Request{Unsafe: true, Open: true}, true},
		{Request{Unsafe: true}, false},
		{Request{Written: true, Open: true}, false},
	} {
		if got := c.r.InDoubt(); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}

func TestOtherPages(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"never taken up":  {func([]byte) []byte { return make([]byte, Size) }, ErrNone},
		"another version": {func(mem []byte) []byte { mem[8]++; return mem }, ErrLayout},
		"other slots":     {func(mem []byte) []byte { mem[12]++; return mem }, ErrLayout},
		"cut":             {func(mem []byte) []byte { return mem[:Size-1] }, nil},
		"empty":           {func([]byte) []byte { return nil }, nil},
	} {
		mem, _ := newPage()
		if _, err := Read(bytes.NewReader(c.change(mem))); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// No byte of a page makes its reader fail, take much memory or show what cannot be
// shown.
func FuzzRead(f *testing.F) {
	mem, w := newPage()
	begin(w, Begin{Method: "POST", Host: "a", Path: "/b", ID: "c", Unsafe: true}).Written()
	f.Add(mem[:headerSize+slotSize], uint16(0))
	torn := bytes.Clone(mem[:headerSize+slotSize])
	torn[headerSize] = flagFilling
	f.Add(torn, uint16(Slots-1))
	f.Add(bytes.Repeat([]byte{0xff}, headerSize+slotSize), uint16(7))
	page := make([]byte, Size)
	f.Fuzz(func(t *testing.T, part []byte, slot uint16) {
		clear(page)
		head := min(len(part), headerSize)
		copy(page, part[:head])
		copy(page[headerSize+int(slot)%Slots*slotSize:], part[head:])
		a, err := Read(bytes.NewReader(page))
		if err != nil {
			return
		}
		if a.More < 0 || a.More > most || a.MoreUnsafe < 0 || a.MoreUnsafe > a.More || a.Torn > Slots || len(a.Requests) > Slots {
			t.Errorf("%d more, %d of them unsafe, %d torn, %d requests", a.More, a.MoreUnsafe, a.Torn, len(a.Requests))
		}
		for _, r := range a.Requests {
			for _, text := range []string{r.Method, r.Host, r.Path, r.ID, r.Pool, r.Backend, r.KeyHash} {
				if len(text) > 400 || strings.ContainsAny(text, "\x00\n\x1b\ufffd") {
					t.Errorf("%q", text)
				}
			}
		}
	})
}

// BenchmarkEntry is the whole life of a request.
func BenchmarkEntry(b *testing.B) {
	_, w := newPage()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var e Entry
		for pb.Next() {
			w.Begin(&e, &Begin{Time: time.Now().UnixNano(), Method: "POST", Host: "shop.example", Path: "/orders/4711", ID: "0b8f9a52-8f6e-4f3e", Unsafe: true})
			e.Carried("shop")
			e.At("shop", "http://10.0.0.1:8080")
			e.Written()
			e.End()
		}
	})
}

// BenchmarkRead reads the page of a process that had 50 requests.
func BenchmarkRead(b *testing.B) {
	mem, w := newPage()
	for range 50 {
		begin(w, Begin{Method: "POST", Host: "shop.example", Path: "/orders/4711"})
	}
	for b.Loop() {
		if _, err := Read(bytes.NewReader(mem)); err != nil {
			b.Fatal(err)
		}
	}
}

// Answers are counted, those of all requests.
func TestAnswered(t *testing.T) {
	mem, w := newPage()
	const requests = 2*shards + 4
	for i := range requests {
		e := begin(w, Begin{Method: "GET"})
		e.Answered(200 + 100*(i%4)) // one of four is a 500
		if i < shards {             // else the next one has another slot
			e.End()
			e.Answered(500) // it is over
		}
	}
	new(Entry).Answered(500)
	all, failed, err := Answered(bytes.NewReader(mem))
	if err != nil || all != requests || failed != requests/4 {
		t.Errorf("%d answers, %d of them failed, want %d and %d (%v)", all, failed, requests, requests/4, err)
	}
	if _, _, err := Answered(bytes.NewReader(make([]byte, Size))); !errors.Is(err, ErrNone) {
		t.Errorf("of a page that was not taken up: %v", err)
	}
}
