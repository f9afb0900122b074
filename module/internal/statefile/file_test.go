// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/testwait"
)

func someState(path string) State {
	return State{
		Children: map[string][]Piece{"default": {{"plan", json.RawMessage(`{"drains":[]}`)}}},
		InDoubt:  []indoubt.Record{{Time: time.Unix(1, 0).UTC(), Path: path}},
	}
}

// kept is what a test keeps in a file.
type kept struct {
	*File
	t      *testing.T
	mu     sync.Mutex
	state  State
	warned []string
}

func keep(t *testing.T, dir string) (*kept, State) {
	t.Helper()
	k := &kept{t: t}
	f, found, err := Open(dir, "state", func() State {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.state
	}, func(err error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.warned = append(k.warned, err.Error())
	})
	if err != nil {
		t.Fatal(err)
	}
	k.File, k.state = f, found
	return k, found
}

func (k *kept) change(s State) {
	k.mu.Lock()
	k.state = s
	k.mu.Unlock()
	k.Changed()
}

func (k *kept) warnings() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.warned
}

// TestFileFollows: what has changed is on disk soon, without Close, and what is there
// is found by the next process; while one has the file, no other gets it.
func TestFileFollows(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	k, found := keep(t, dir)
	if !reflect.DeepEqual(found, State{}) {
		t.Errorf("found %+v at first", found)
	}
	if _, _, err := Open(dir, "state", nil, nil); !errors.Is(err, ErrTaken) {
		t.Errorf("a second process got %v", err)
	}
	for _, path := range []string{"/one", "/two"} {
		want := someState(path)
		k.change(want)
		testwait.Until(t, "it is written", func() bool {
			data, err := os.ReadFile(filepath.Join(dir, "state.json"))
			if err != nil {
				return false
			}
			got, err := decode(data)
			if err != nil {
				t.Fatalf("%q: %v", data, err)
			}
			return reflect.DeepEqual(got, want)
		})
	}
	k.change(someState("/three"))
	k.Close()
	next, found := keep(t, dir)
	defer next.Close()
	if !reflect.DeepEqual(found, someState("/three")) {
		t.Errorf("the next process found %+v", found)
	}
	if w := append(k.warnings(), next.warnings()...); len(w) > 0 {
		t.Error(w)
	}
}

// TestWhatCannotBeRead is moved aside with one warning, and the service runs.
func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	whole, err := someState("/").encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"truncated": {string(whole[:len(whole)/2]), "no state of a broker"},
		"empty":     {"", "no state of a broker"},
		"foreign":   {`{"apps":{}}`, "no state of a broker"},
		"too long":  {strings.Repeat(" ", maxSize) + string(whole), "no state of a broker"},
		"zeros":     {strings.Repeat("\x00", 100), "no state of a broker"},
		"newer":     {`{"caddy_broker_state":7,"children":"in another form"}`, "version 7"},
		"shape":     {`{"caddy_broker_state":1,"children":"in another form"}`, "no state of a broker"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			k, found := keep(t, dir)
			if !reflect.DeepEqual(found, State{}) {
				t.Errorf("found %+v", found)
			}
			k.change(someState("/"))
			k.Close()
			if w := k.warnings(); len(w) != 1 || !strings.Contains(w[0], tt.want) {
				t.Errorf("warned %q, want %q once", w, tt.want)
			}
			aside, _ := filepath.Glob(filepath.Join(dir, "state.json.*Z"))
			if len(aside) != 1 {
				t.Fatalf("%q are beside it", aside)
			}
			if text, _ := os.ReadFile(aside[0]); string(text) != tt.text {
				t.Errorf("aside is %q", text)
			}
			next, found := keep(t, dir)
			next.Close()
			if !reflect.DeepEqual(found, someState("/")) {
				t.Errorf("the next process found %+v", found)
			}
		})
	}
}

// TestFullDisk: what cannot be written is said once, and written when it can be.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, _ := keep(t, dir)
	blocked := filepath.Join(dir, "state.json.new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/one", "/two"} {
		k.change(someState(path))
		testwait.Until(t, "it was tried", func() bool { return len(k.warnings()) > 0 && len(k.wake) == 0 })
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	k.change(someState("/three"))
	k.Close()
	if w := k.warnings(); len(w) != 1 || !strings.Contains(w[0], "writing the state") {
		t.Errorf("warned %q", w)
	}
	next, found := keep(t, dir)
	next.Close()
	if !reflect.DeepEqual(found, someState("/three")) {
		t.Errorf("the next process found %+v", found)
	}
}

// TestTriedAgain: what could not be written is written when it can be, without a change.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k, _ := keep(t, dir)
		defer k.Close()
		blocked := filepath.Join(dir, "state.json.new")
		if err := os.Mkdir(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		k.change(someState("/one"))
		time.Sleep(again)
		synctest.Wait()
		if w := k.warnings(); len(w) != 1 {
			t.Fatalf("warned %q, want one warning", w)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * again)
		synctest.Wait()
		if data, err := os.ReadFile(filepath.Join(dir, "state.json")); err != nil || !strings.Contains(string(data), "/one") {
			t.Errorf("%q, %v; want the state", data, err)
		}
	})
}
