// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// wires are the two ends of a connection: a parent's and its child's.
func wires(t *testing.T) (parent, child *Wire) {
	t.Helper()
	parent, file, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	child, err = wireFrom(file)
	if err != nil {
		t.Fatal(err)
	}
	child.max, child.takes = maxOrder, true
	t.Cleanup(func() { _ = parent.Close(); _ = child.Close() })
	return parent, child
}

func TestMessagesGoThrough(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	want := []Message{
		{Kind: KindHello, Config: json.RawMessage(`{"a":"` + strings.Repeat("x", 3<<20) + `"}`), Admin: "/run/1", Timeout: time.Minute},
		{Kind: KindActivate},
		{Kind: KindTell, Topic: "line\nfeed", Data: json.RawMessage(`["ü\n"]`)},
		{Kind: KindStop, Mode: Force},
	}
	go func() {
		for _, m := range want {
			if err := parent.Send(m); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, m := range want {
		got, err := child.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("got %.200v, want %.200v", got, m)
		}
	}
	if cap(child.buf) > keptBuffer {
		t.Errorf("%d bytes are kept for nothing", cap(child.buf))
	}
	_ = parent.Close()
	if _, err := child.Recv(); err == nil {
		t.Error("a message from a closed connection")
	}
}

// Each message comes with its own files, also when several arrive at once.
func TestFilesGoThrough(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	for i := range 20 {
		var files []int
		for j := range i % 4 {
			file, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			fmt.Fprintf(file, "%d %d", i, j)
			files = append(files, int(file.Fd()))
		}
		if err := parent.Send(Message{Kind: KindListened, ID: uint64(i)}, files...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		m, err := child.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.ID != uint64(i) || len(m.files) != i%4 {
			t.Fatalf("message %d has %d files, want %d", m.ID, len(m.files), i%4)
		}
		for j, fd := range m.files {
			file := os.NewFile(uintptr(fd), "")
			text, err := io.ReadAll(io.NewSectionReader(file, 0, 100))
			if want := fmt.Sprintf("%d %d", i, j); err != nil || string(text) != want {
				t.Errorf("file %q (%v), want %q", text, err, want)
			}
			_ = file.Close()
		}
	}
}

// A child cannot fill its parent's table of descriptors, or its memory.
func TestHostileChild(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := child.Send(Message{Kind: KindBeat}, int(file.Fd())); err != nil {
		t.Fatal(err)
	}
	if m, err := parent.Recv(); err == nil || len(m.files) > 0 || len(parent.files) > 0 {
		t.Errorf("a parent took files: %+v (%v)", m, err)
	}

	parent, child = wires(t)
	go func() {
		junk := bytes.Repeat([]byte("x"), 1<<20)
		for {
			if _, err := child.conn.Write(junk); err != nil {
				return
			}
		}
	}()
	if _, err := parent.Recv(); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an endless message: %v", err)
	}
	_ = parent.Close()
}

// Whoever waits for a socket gets an error when the parent is gone, and so does
// whoever asks later.
func TestListenWithoutParent(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	link := &Link{wire: child, pending: make(map[uint64]chan Message)}
	orphaned := make(chan struct{})
	go link.Serve(Orders{Orphaned: func(error) { close(orphaned) }})
	answer := make(chan error)
	go func() {
		_, err := link.Listen("tcp", ":1", 0)
		answer <- err
	}()
	if m, err := parent.Recv(); err != nil || m.Kind != KindListen || m.Address != ":1" {
		t.Fatalf("asked for %+v (%v)", m, err)
	}
	// An answer to somebody else, with a file, is no answer and leaves none open.
	if err := parent.Send(Message{Kind: KindListened, ID: 99}, 0); err != nil {
		t.Fatal(err)
	}
	_ = parent.Close()
	if err := <-answer; err == nil || !strings.Contains(err.Error(), "broker is gone") {
		t.Errorf("error %v", err)
	}
	<-orphaned
	if _, err := link.Listen("tcp", ":1", 0); err == nil {
		t.Error("a socket from nobody")
	}
	link.Failed(io.EOF) // says it to nobody, and returns
}

// An answer without its descriptor is an error, not a wrong listener.
func TestListenedWithoutFile(t *testing.T) {
	t.Parallel()
	parent, child := wires(t)
	link := &Link{wire: child, pending: make(map[uint64]chan Message)}
	go link.Serve(Orders{Orphaned: func(error) {}})
	go func() {
		m, _ := parent.Recv()
		_ = parent.Send(Message{Kind: KindListened, ID: m.ID})
	}()
	if _, err := link.Listen("tcp", ":1", 0); err == nil || !strings.Contains(err.Error(), "0 descriptors") {
		t.Errorf("error %v", err)
	}
}

// What a child sends is data: whatever it is, reading it ends in messages or an
// error.
func FuzzWire(f *testing.F) {
	for _, m := range []Message{
		{Kind: KindReady}, {Kind: KindListen, ID: 1, Network: "tcp", Address: ":80"}, {Kind: KindReport, Topic: "t", Data: json.RawMessage("[1]")},
	} {
		line, _ := json.Marshal(m)
		f.Add(append(line, '\n'), 3)
	}
	f.Add([]byte("\n\n{}\n{\"files\":1}\n{\"files\":-1}\n"), 1)
	f.Add([]byte(`{"kind":`), 100)
	f.Fuzz(func(t *testing.T, data []byte, chunk int) {
		if chunk < 1 || len(data)/chunk > 1000 {
			return
		}
		parent, file, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		child, err := wireFrom(file)
		if err != nil {
			t.Fatal(err)
		}
		defer parent.Close()
		go func() {
			defer child.Close()
			for rest := data; len(rest) > 0; {
				n := min(chunk, len(rest))
				if _, err := child.conn.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		lines := bytes.Split(data, []byte("\n"))
		for _, line := range lines[:len(lines)-1] {
			var want Message
			decodes := json.Unmarshal(line, &want) == nil && want.Files == 0
			got, err := parent.Recv()
			if decodes != (err == nil) {
				t.Fatalf("line %q: %v", line, err)
			}
			if err != nil {
				return
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("line %q: %+v, want %+v", line, got, want)
			}
		}
		if m, err := parent.Recv(); err == nil {
			t.Fatalf("a message out of nothing: %+v", m)
		}
	})
}
