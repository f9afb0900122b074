// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

const (
	// lockPatience is how long a line waits for a process that writes or rolls, which
	// takes milliseconds: one that was stopped meanwhile must not stop the others.
	lockPatience = 100 * time.Millisecond
	// lockPause is between two looks whether the lock is free.
	lockPause = 50 * time.Microsecond
	// holdTime is how long a process keeps the lock for its next lines, so that a busy
	// one takes it, and looks for the file, a few hundred times a second and not for
	// each line.
	holdTime = 2 * time.Millisecond
)

// A Writer writes whole lines to the file that its path names, whichever that is when
// the line comes.
type Writer struct {
	path  string
	mode  os.FileMode
	rolls *rolls // nil: the file is never rolled by us

	mu    lockorder.Mutex[Writer]
	file  *os.File
	info  os.FileInfo
	size  int64       // what the file had when it was looked at, and what was written since
	dir   *os.File    // for the lock; nil where the directory cannot be opened
	begun time.Time   // when the file at the path was first seen
	busy  time.Time   // until then another process cleans up, and nothing is rolled
	held  bool        // the lock of those that write, and the file is the right one
	end   *time.Timer // ends that
	mark  *time.Timer // rolls at the next fixed time, if there are any
	done  bool
}

// Write appends a line. An error of the system is returned, as for any file.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return 0, os.ErrClosed
	}
	w.hold()
	if reason := w.rolls.due(w.size, len(p), w.begun, time.Now()); reason != "" {
		w.release()
		w.roll(reason)
		w.hold()
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	return n, err
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
	err := w.close()
	w.rolls.wait()
	return err
}

func (w *Writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return nil
	}
	w.done = true
	w.end.Stop()
	if w.mark != nil {
		w.mark.Stop()
	}
	if w.dir != nil {
		_ = w.dir.Close()
	}
	return w.file.Close()
}

// open opens the file at the path for the first time.
func (w *Writer) open() error {
	w.begun = time.Now()
	if err := w.reopen(); err != nil {
		return err
	}
	// Without it there is no lock between processes, as on a file system that knows none.
	w.dir, _ = os.Open(filepath.Dir(w.path))
	w.end = time.AfterFunc(holdTime, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.release()
	})
	if !w.info.Mode().IsRegular() {
		w.rolls = nil // a pipe, or a terminal
	}
	w.arm()
	return nil
}

// hold takes the lock of those that write, unless this process has it, and follows the
// path.
func (w *Writer) hold() {
	if w.held {
		return
	}
	w.lock(lockShared)
	w.held = true
	w.end.Reset(holdTime)
	w.follow()
}

// release gives the lock back.
func (w *Writer) release() {
	if w.held && !w.done {
		w.held = false
		w.unlock()
	}
}

// follow goes on in the file that the path names now. What cannot be opened any more (its
// owner has changed) is not followed: a line in a renamed file is better than none.
func (w *Writer) follow() {
	info, err := os.Stat(w.path)
	if err == nil && os.SameFile(info, w.info) {
		w.size = info.Size()
		return
	}
	if w.reopen() == nil {
		w.begun = time.Now()
	}
}

func (w *Writer) reopen() error {
	file, err := os.OpenFile(w.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, w.mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if w.file != nil {
		_ = w.file.Close()
	}
	w.file, w.info, w.size = file, info, info.Size()
	return nil
}

// lock reports whether it has got a lock on the directory in time.
func (w *Writer) lock(how func(*os.File) error) bool {
	if w.dir == nil {
		return true
	}
	for end := time.Now().Add(lockPatience); errors.Is(how(w.dir), errLocked); {
		if time.Now().After(end) {
			return false
		}
		<-time.After(lockPause)
	}
	return true
}

func (w *Writer) unlock() {
	if w.dir != nil {
		unlock(w.dir)
	}
}
