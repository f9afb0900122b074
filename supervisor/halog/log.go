// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package halog

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Codes of the high-availability log.
const (
	Opening    = "SHA0502"
	Watcher    = "SHA0425"
	Command    = "SHA0158"
	Creating   = "SHA0173"
	Created    = "SHA0214"
	Waiting    = "SHA0877"
	Running    = "SHA0899"
	Supervise  = "SHA0817"
	Terminated = "SHA0579"
	ExitCode   = "SHA0584"
	Restarting = "SHA0558"
)

// Log is the small file that records the life of a child: one line per event,
// local time, a code, a text; one write per line, always appended. When the file
// was renamed away, the next line starts a new one. Errors are told once and
// never cost the service. The zero value and nil write nothing.
type Log struct {
	warn func(error)
	now  func() time.Time

	mu     sync.Mutex
	path   string
	file   *os.File
	warned bool
}

// Open opens path for appending and writes the first two lines; an empty path
// is no file. A path that cannot be opened is told to warn, once; the log then keeps
// trying with each line.
func Open(path string, warn func(error)) *Log {
	l := &Log{warn: warn, now: time.Now}
	l.Reopen(path)
	return l
}

// Reopen goes on in the file at path as [Open] begins there.
func (l *Log) Reopen(path string) {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		path = abs
	}
	l.Close()
	l.mu.Lock()
	l.path, l.warned = path, false
	l.mu.Unlock()
	l.Line(Opening, "opening log for Broker HTTP HA")
	l.Line(Watcher, fmt.Sprintf("watcher process pid=%d", os.Getpid()))
}

// Path is the file's absolute path.
func (l *Log) Path() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path
}

// Close closes the file.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// Line writes one line.
func (l *Log) Line(code, text string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return
	}
	text = plain.Line(text, maxHALine)
	if err := l.write(fmt.Sprintf("%s %s %s\n", l.now().Format("02/01/2006_15:04:05"), code, text)); err != nil {
		if !l.warned {
			l.warned = true
			l.warn(fmt.Errorf("writing HA log: %w", err))
		}
		return
	}
	l.warned = false
}

// maxHALine bounds a line's text, in bytes.
const maxHALine = 4 << 10

func (l *Log) write(line string) error {
	if l.file != nil && l.rotated() {
		_ = l.file.Close()
		l.file = nil
	}
	if l.file == nil {
		f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		l.file = f
	}
	_, err := l.file.WriteString(line)
	return err
}

func (l *Log) rotated() bool {
	open, err := l.file.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(l.path)
	return err != nil || !os.SameFile(open, there)
}
