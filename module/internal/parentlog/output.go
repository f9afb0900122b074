// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package parentlog

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Output hands on what a process of a child writes to its standard error. Lines of a log
// stay as they are. Where this process's own log is JSON, plain text, such as what Go writes
// when a program dies, becomes an entry of that log, so that what reads it understands
// every line and knows whose it is. Plain lines that come together stand in one entry, and
// what is written again and again, as by a log whose disk is full, is counted only.
type Output struct {
	child string
	pid   int
	logs  bool // this process's log is JSON
	calm  bool // without warnings of Caddy's that say nothing to the user of a child
	to    io.Writer
	own   *zap.Logger // of this process; nil is Caddy's

	mu     lockorder.Mutex[Output]
	part   []byte // by mu: a line that has not ended
	text   []byte // by mu: plain lines that were not handed on yet
	cut    int    // by mu: bytes that had no room there
	timer  *time.Timer
	last   string    // by mu: the last complaint
	until  time.Time // by mu: it is not repeated before
	untold int       // by mu: how often it was written since
}

const (
	// maxPart bounds a line, and maxPlain the plain lines in one entry, in bytes.
	maxPart  = 1 << 20
	maxPlain = 16 << 10
	// together is how long after the first of some plain lines they are handed on.
	together = 200 * time.Millisecond
	// complaintEvery is how often what is the same is told.
	complaintEvery = time.Minute
)

// maxComplaint bounds what is said of a log that cannot be written, in bytes.
const maxComplaint = 2 << 10

// NewOutput is that of the process with that id. config is the user's configuration as
// JSON, by which this process's own log is written; nil is not known.
func NewOutput(child string, pid int, config []byte) *Output {
	return &Output{
		child: child, pid: pid, logs: logsJSON(config), to: os.Stderr,
		// Where the user says what servers are to speak, it is news that they do not.
		calm: !bytes.Contains(config, []byte(`protocols"`)),
	}
}

// Write takes what the process wrote. It never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.logs {
		_, _ = o.to.Write(p)
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		line, more, ended := bytes.Cut(rest, []byte{'\n'})
		o.part, rest = append(o.part, line...), more
		if !ended && len(o.part) < maxPart {
			o.later()
			break
		}
		o.line()
	}
	return len(p), nil
}

// Close hands on what is left.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest()
	return nil
}

// line takes a whole line.
func (o *Output) line() {
	line := o.part
	o.part = o.part[:0]
	if !json.Valid(line) || len(line) == 0 || line[0] != '{' {
		o.plain(line)
		return
	}
	if o.calm && Benign(line) {
		return
	}
	o.flush()
	_, _ = o.to.Write(append(line, '\n'))
}

// plain takes a line that is none of a log.
func (o *Output) plain(line []byte) {
	if o.repeats(line) {
		return
	}
	if len(o.text)+len(line) > maxPlain {
		o.cut += len(line) + 1
		o.later()
		return
	}
	o.text = append(append(o.text, line...), '\n')
	o.later()
}

// complaint is how zap begins to say that it cannot write a log, after a time.
const complaint = " write error: "

// repeats reports whether a line says again what was said less than complaintEvery ago.
func (o *Output) repeats(line []byte) bool {
	_, what, found := strings.Cut(string(line), complaint)
	if !found {
		return false
	}
	if what == o.last && time.Now().Before(o.until) {
		o.untold++
		return true
	}
	o.flush()
	o.logger().Warn("a log of the child cannot be written: its lines are lost; the service goes on; make room, or write it elsewhere",
		zap.String("child", o.child), zap.Int("pid", o.pid), zap.String("error", plain.Line(what, maxComplaint)), zap.Int("lost_before", o.untold))
	o.last, o.until, o.untold = what, time.Now().Add(complaintEvery), 0
	return true
}

// later hands plain lines on when those that come with them are there.
func (o *Output) later() {
	if o.timer == nil {
		o.timer = time.AfterFunc(together, func() { _ = o.Close() })
	}
}

// rest hands on all there is, also of a line that has not ended.
func (o *Output) rest() {
	if len(o.part) > 0 && o.part[0] != '{' {
		o.line()
	}
	o.flush()
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
}

// flush makes an entry of the plain lines.
func (o *Output) flush() {
	if len(o.text) == 0 {
		return
	}
	fields := []zap.Field{zap.String("child", o.child), zap.Int("pid", o.pid), zap.String("text", plain.Text(strings.TrimSuffix(string(o.text), "\n"), maxPlain))}
	if o.cut > 0 {
		fields = append(fields, zap.Int("bytes_left_out", o.cut))
	}
	o.logger().Info("child wrote to its standard error", fields...)
	o.text, o.cut = o.text[:0], 0
}

func (o *Output) logger() *zap.Logger {
	if o.own != nil {
		return o.own
	}
	return caddy.Log().Named("broker.child")
}

// Benign reports whether a line is a warning of Caddy's that every child gives at its
// start, and that is about nothing the user could change: its private admin socket is
// none that others reach, and that a port without TLS speaks HTTP/1 is what was asked for.
func Benign(line []byte) bool {
	if !bytes.HasPrefix(line, []byte(`{"level":"warn"`)) {
		return false
	}
	var entry struct{ Logger, Msg, Network, Address string }
	if json.Unmarshal(line, &entry) != nil {
		return false
	}
	switch entry.Msg {
	case "admin endpoint on open interface; host checking disabled":
		return entry.Logger == "admin" && strings.HasPrefix(entry.Address, "unix/")
	case "HTTP/2 skipped because it requires TLS", "HTTP/3 skipped because it requires TLS":
		return entry.Logger == "http" && strings.Contains(entry.Network, "broker")
	}
	return false
}

// logsJSON reports whether this process writes its log as JSON, by the user's configuration.
func logsJSON(config []byte) bool {
	var user struct {
		Logging struct {
			Logs map[string]struct {
				Encoder struct{ Format string }
			}
		}
	}
	if config != nil && json.Unmarshal(config, &user) != nil {
		return false
	}
	switch user.Logging.Logs["default"].Encoder.Format {
	case "": // Caddy looks whether it is a terminal, which is a device
		info, err := os.Stderr.Stat()
		return err == nil && info.Mode()&os.ModeCharDevice == 0
	case "json":
		return true
	}
	return false
}
