// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"fmt"
	"strings"
	"testing"
)

// others are goroutines of a dump, of n bytes at least.
func others(n int) string {
	var text strings.Builder
	for i := 2; text.Len() < n; i++ {
		fmt.Fprintf(&text, "goroutine %d [select]:\nmain.wait(0x%d)\n\t/src/main.go:7\n\n", i, i)
	}
	return text.String()
}

// However long a dump is, its beginning and its end are kept.
func TestDumpsAreKept(t *testing.T) {
	const (
		died = "goroutine 7 [running]:\nmain.fail()\n\t/src/main.go:42 +0x1d"
		log  = "{\"level\":\"info\",\"msg\":\"panic: in a log\"}\n"
	)
	many, few := strings.Repeat(log, 5_000), strings.Repeat(log, 3)
	for name, c := range map[string]struct{ text, line, goroutine string }{
		"panic":               {few + "panic: no\n\n" + died + "\n\n" + others(1000), "panic: no", died},
		"long panic":          {many + "panic: no\n\n" + died + "\n\n" + others(3*tailSize), "panic: no", died},
		"between both sizes":  {many + "panic: no\n\n" + died + "\n\n" + others(tailSize+headSize/2), "panic: no", died},
		"fault":               {"panic: runtime error: invalid memory address\n[signal SIGSEGV: x code=0x1]\n\n" + died + "\n", "panic: runtime error: invalid memory address [signal SIGSEGV: x code=0x1]", died},
		"hang":                {few + "SIGABRT: abort\nPC=0x47 m=0 sigcode=0\n\n" + died + "\n\n" + others(2*tailSize), "SIGABRT: abort", died},
		"stack":               {"runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n\nruntime stack:\n\n" + died + "\n", "fatal error: stack overflow", died},
		"one that went on":    {"panic: another's\n\n" + others(100) + many + "fatal error: ours\n\n" + died + "\n\n" + others(2*tailSize), "fatal error: ours", died},
		"its own other lines": {"fatal error: all\npanic: within\n\n" + died + "\n\n" + others(2*tailSize), "fatal error: all", died},
		"no goroutine":        {"panic: no\n", "panic: no", ""},
		"none":                {many, "", ""},
		"no line of a dump":   {many + "SIGNALs: are no signal's\nSIG: x\npanicked\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, 4096, len(c.text)} {
				var kept tail
				for rest := c.text; rest != ""; {
					n := min(size, len(rest))
					_, _ = kept.Write([]byte(rest[:n]))
					rest = rest[n:]
				}
				line, goroutine := kept.fault()
				if line != c.line || goroutine != c.goroutine {
					t.Errorf("in parts of %d: %q and\n%s\nwant %q and\n%s", size, line, goroutine, c.line, c.goroutine)
				}
				got := kept.String()
				if len(got) > maxStderr || !strings.HasSuffix(got, c.text[max(0, len(c.text)-tailSize):]) {
					t.Errorf("in parts of %d: %d bytes are kept", size, len(got))
				}
				if c.line != "" && !strings.Contains(got, c.line[:9]) || !strings.Contains(got, c.goroutine) {
					t.Errorf("in parts of %d: the goroutine that died is missing", size)
				}
			}
		})
	}
}

// What is between the beginning and the end is whole where it fits, and otherwise said
// to be missing.
func TestMissingPartOfADump(t *testing.T) {
	dump := "panic: no\n\n" + others(headSize + tailSize)[:headSize+tailSize-11-5]
	for extra, mark := range map[string]bool{"": false, "\nmore": false, "\nmore than that": true} {
		var kept tail
		_, _ = kept.Write([]byte("log\n" + dump + extra))
		got := kept.String()
		if !mark && got != dump+extra {
			t.Errorf("%d more bytes: %d bytes are kept of %d", len(extra), len(got), len(dump+extra))
		}
		if mark != strings.Contains(got, "\n[10 bytes are missing here]\n") {
			t.Errorf("%d more bytes: what is missing is not said", len(extra))
		}
	}
}
