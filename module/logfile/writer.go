// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"os"
	"path/filepath"
	"sync"
	"time"
)

// lockPatience is how long a line waits for a process that writes or rolls, which takes
// less than a millisecond: one that was stopped meanwhile must not stop the others.
const lockPatience = 100 * time.Millisecond

// A Writer writes whole lines to the file that its path names, whichever that is when
// the line comes.
type Writer struct {
	path  string
	mode  os.FileMode
	rolls *rolls // nil: the file is never rolled by us

	mu    sync.Mutex
	file  *os.File
	info  os.FileInfo
	dir   *os.File    // for the lock; nil where the directory cannot be opened
	begun time.Time   // when the file at the path was first seen
	busy  time.Time   // until then another process cleans up, and nothing is rolled
	timer *time.Timer // rolls at the next fixed time, if there are any
	done  bool
}

// Write appends a line. An error of the system is returned, as for any file.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return 0, os.ErrClosed
	}
	unlock := w.share()
	size := w.follow()
	if reason := w.rolls.due(size, len(p), w.begun, time.Now()); reason != "" {
		unlock()
		w.roll(reason)
		unlock = w.share()
		w.follow()
	}
	defer unlock()
	return w.file.Write(p)
}

// Sync writes the file's contents to the disk.
func (w *Writer) Sync() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return nil
	}
	return w.file.Sync()
}

// Close closes the file, and waits until what was rolled last is compressed.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.done {
		w.mu.Unlock()
		return nil
	}
	w.done = true
	if w.timer != nil {
		w.timer.Stop()
	}
	err := w.file.Close()
	if w.dir != nil {
		w.dir.Close()
	}
	w.mu.Unlock()
	w.rolls.wait()
	return err
}

// open opens the file at the path for the first time.
func (w *Writer) open() error {
	w.begun = time.Now()
	// Without it there is no lock between processes, as on a file system that knows none.
	w.dir, _ = os.Open(filepath.Dir(w.path))
	if err := w.reopen(); err != nil {
		if w.dir != nil {
			w.dir.Close()
		}
		return err
	}
	if !w.info.Mode().IsRegular() {
		w.rolls = nil // a pipe, or a terminal
	}
	w.arm()
	return nil
}

// follow goes on in the file that the path names now, and returns its size. What cannot
// be opened any more (its owner has changed) is not followed: a line in a renamed file
// is better than none.
func (w *Writer) follow() int64 {
	info, err := os.Stat(w.path)
	if err == nil && os.SameFile(info, w.info) {
		return info.Size()
	}
	if w.reopen() != nil {
		return 0
	}
	w.begun = time.Now()
	return w.info.Size()
}

func (w *Writer) reopen() error {
	file, err := os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, w.mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	if w.file != nil {
		w.file.Close()
	}
	w.file, w.info = file, info
	return nil
}

// share takes the lock of those that write, and returns what gives it back.
func (w *Writer) share() (unlock func()) {
	w.lock(lockShared)
	return w.unlock
}

// exclude takes the lock of the one that rolls, unless another process has rolled or
// was stopped with the lock.
func (w *Writer) exclude() bool { return w.lock(lockExclusive) }

func (w *Writer) lock(how func(*os.File) error) bool {
	if w.dir == nil {
		return true
	}
	end := time.Now().Add(lockPatience)
	for how(w.dir) == errLocked {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(50 * time.Microsecond)
	}
	return true
}

func (w *Writer) unlock() {
	if w.dir != nil {
		unlock(w.dir)
	}
}
