// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package statefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// gather is how long changes are gathered before they are written.
const gather = 50 * time.Millisecond

// again is after how long a state that could not be written is tried again.
const again = time.Second

// maxSize bounds what is read: far more than a state can have.
const maxSize = 64 << 20

// File is a state on disk that follows what it is a state of.
type File struct {
	path   string
	lock   *os.File
	now    func() State
	warn   func(error)
	wake   chan struct{}
	over   chan struct{}
	writes sync.WaitGroup
}

// ErrTaken says that another process has the file.
var ErrTaken = errors.New("another broker keeps its state there")

// Open reads the state in a folder, which it makes if need be, and from then on writes
// what now returns after each Changed, until Close. now is called by one goroutine at a
// time. A state that cannot be read is moved aside. What goes wrong later, and why a
// state was moved, is told to warn, one failure to write only once until it is over.
func Open(dir, name string, now func() State, warn func(error)) (*File, State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, State{}, fmt.Errorf("making the folder of the state: %w", err)
	}
	f := &File{path: filepath.Join(dir, name+".json"), now: now, warn: warn, wake: make(chan struct{}, 1), over: make(chan struct{})}
	var err error
	if f.lock, err = os.OpenFile(filepath.Join(dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, State{}, fmt.Errorf("opening the lock of the state: %w", err)
	}
	if err := tryLock(f.lock); err != nil {
		_ = f.lock.Close()
		return nil, State{}, fmt.Errorf("keeping the state in %s: %w", f.path, err)
	}
	s := f.read()
	f.writes.Go(f.follow)
	return f, s, nil
}

// read returns what is there, nothing where that cannot be read.
func (f *File) read() State {
	s, err := load(f.path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return s
	}
	aside := f.path + "." + time.Now().UTC().Format("20060102T150405Z")
	err = fmt.Errorf("reading the state in %s: %w; it is moved to %s, and this broker starts without", f.path, err, aside)
	f.warn(errors.Join(err, os.Rename(f.path, aside)))
	return State{}
}

// load reads a state. When it returns, the file is closed: not every system moves one
// that is open.
func load(path string) (State, error) {
	file, err := os.Open(path)
	if err != nil {
		return State{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSize))
	if err != nil {
		return State{}, err
	}
	return decode(data)
}

// Changed makes the state be written soon.
func (f *File) Changed() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Close writes what has changed and lets another process have the file.
func (f *File) Close() {
	close(f.over)
	f.writes.Wait()
	_ = f.lock.Close()
}

// follow writes until Close.
func (f *File) follow() {
	failing := false
	var retry <-chan time.Time // nil is never
	for last := false; !last; {
		select {
		case <-retry:
		case <-f.wake:
			select {
			case <-time.After(gather):
			case <-f.over:
			}
			select {
			case <-f.wake: // it is in what is written now
			default:
			}
		case <-f.over:
			last = true
		}
		err := f.write()
		if err != nil && !failing {
			f.warn(fmt.Errorf("writing the state: %w; the service goes on, and if this process died now, it would be lost", err))
		}
		retry = nil
		if failing = err != nil; failing {
			retry = time.After(again)
		}
	}
}

// write replaces the file by a whole new one.
func (f *File) write() error {
	data, err := f.now().encode()
	if err != nil {
		return err
	}
	return Replace(f.path, data)
}

// Replace writes a file of that path anew, so that there is at any time the old one or the
// new one as a whole. When it returns, that is the new one, also after a loss of power.
func Replace(path string, data []byte) error {
	next := path + ".new"
	file, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := rename(next, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
