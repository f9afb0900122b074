// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"fmt"
	"strings"
)

const (
	// headSize is how much of the beginning of a dump is kept: what went wrong and the
	// goroutine that died come first, and thousands of others may follow.
	headSize = 16 << 10
	// ownBegins is how much of a dump may itself have lines with which dumps begin.
	ownBegins = 4 << 10
	// lineBegin is how much of a line is looked at, in bytes.
	lineBegin = 16
)

// head keeps the beginning of what a program writes when it dies, as Go programs do. One
// that goes on, because the text was another's, dies later with another dump, which takes
// its place.
type head struct {
	text    []byte // at most headSize
	written int    // bytes since the dump began; 0 is no dump
	begin   []byte // of the present line, until it is known what line it is
	inside  bool   // it is known
}

func (h *head) write(p []byte) {
	for len(p) > 0 {
		line, ended := p, false
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line, ended = p[:i+1], true
		}
		p = p[len(line):]
		if h.inside {
			if h.written > 0 {
				h.add(line)
			}
			h.inside = !ended
			continue
		}
		h.begin = append(h.begin, line...)
		if !ended && len(h.begin) < lineBegin {
			return
		}
		if beginsDump(string(h.begin[:min(len(h.begin), lineBegin)])) && (h.written == 0 || h.written > ownBegins) {
			h.text, h.written = h.text[:0], 0
			h.add(h.begin)
		} else if h.written > 0 {
			h.add(h.begin)
		}
		h.begin, h.inside = h.begin[:0], !ended
	}
}

// add adds to a dump that has begun, or begins.
func (h *head) add(p []byte) {
	h.written += len(p)
	h.text = append(h.text, p[:min(len(p), headSize-len(h.text))]...)
}

// beginsDump reports whether a line that begins so is the first one of a dump.
func beginsDump(line string) bool {
	for _, begin := range []string{"panic: ", "fatal error: ", "runtime: "} {
		if strings.HasPrefix(line, begin) {
			return true
		}
	}
	name, _, found := strings.Cut(line, ": ")
	return found && len(name) > 3 && strings.HasPrefix(name, "SIG") && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// before is the text before the last rest bytes that were written: nothing if the dump
// is among those.
func (h *head) before(rest int) string {
	switch missing := h.written + len(h.begin) - rest; {
	case h.written == 0 || missing <= 0:
		return ""
	case missing <= len(h.text):
		return string(h.text[:missing])
	default:
		return string(h.text) + fmt.Sprintf("\n[%d bytes are missing here]\n", missing-len(h.text))
	}
}

// maxGoroutine bounds the goroutine that is shown, in bytes.
const maxGoroutine = 4 << 10

// fault is what the dump says of the reason: the line that has it, and the first
// goroutine, which is the one that died.
func (h *head) fault() (line, goroutine string) {
	if h.written == 0 {
		return "", ""
	}
	text := string(h.text)
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		switch {
		case line == "" || strings.HasPrefix(line, "runtime: ") && beginsDump(l):
			line = l
		case strings.HasPrefix(l, "[signal "):
			line += " " + l
		}
		if l == "" {
			break
		}
	}
	if i := strings.Index("\n"+text, "\ngoroutine "); i >= 0 {
		goroutine, _, _ = strings.Cut(text[i:], "\n\n")
		goroutine = strings.TrimSpace(goroutine)
	}
	return line, goroutine[:min(len(goroutine), maxGoroutine)]
}
