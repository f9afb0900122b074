// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

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
	haOpening    = "SHA0502"
	haWatcher    = "SHA0425"
	haCommand    = "SHA0158"
	haCreating   = "SHA0173"
	haCreated    = "SHA0214"
	haWaiting    = "SHA0877"
	haRunning    = "SHA0899"
	haSupervise  = "SHA0817"
	haTerminated = "SHA0579"
	haExitCode   = "SHA0584"
	haRestarting = "SHA0558"
)

// HALog is the small file that records the life of a child: one line per event,
// local time, a code, a text; one write per line, always appended. When the file
// was renamed away, the next line starts a new one. Errors are told once and
// never cost the service. The zero value and nil write nothing.
type HALog struct {
	warn func(error)
	now  func() time.Time

	mu     sync.Mutex
	path   string
	file   *os.File
	warned bool
}

// OpenHALog opens path for appending and writes the first two lines; an empty path
// is no file. A path that cannot be opened is told to warn, once; the log then keeps
// trying with each line.
func OpenHALog(path string, warn func(error)) *HALog {
	l := &HALog{warn: warn, now: time.Now}
	l.Reopen(path)
	return l
}

// Reopen goes on in the file at path as [OpenHALog] begins there.
func (l *HALog) Reopen(path string) {
	if abs, err := filepath.Abs(path); err == nil && path != "" {
		path = abs
	}
	l.Close()
	l.mu.Lock()
	l.path, l.warned = path, false
	l.mu.Unlock()
	l.line(haOpening, "opening log for Broker HTTP HA")
	l.line(haWatcher, fmt.Sprintf("watcher process pid=%d", os.Getpid()))
}

// Path is the file's absolute path.
func (l *HALog) Path() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path
}

// Close closes the file.
func (l *HALog) Close() {
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

func (l *HALog) line(code, text string) {
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

func (l *HALog) write(line string) error {
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

func (l *HALog) rotated() bool {
	open, err := l.file.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(l.path)
	return err != nil || !os.SameFile(open, there)
}
