// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Command termsvg draws the transcript of a terminal session as an SVG picture.
//
// It reads the transcript from standard input and writes the picture to standard
// output. A line that begins with "$ " is a command, one that begins with "# " is a
// remark, and everything else is output. docs/images/record.sh uses it.
package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// The measures of the picture, in pixels.
const (
	charWidth  = 7.83 // of a 13 px monospace font
	lineHeight = 18
	margin     = 16
	titleBar   = 34
)

func main() {
	title := "terminal"
	if len(os.Args) > 1 {
		title = os.Args[1]
	}
	if err := draw(os.Stdout, os.Stdin, title); err != nil {
		fmt.Fprintln(os.Stderr, "termsvg:", err)
		os.Exit(1)
	}
}

// draw writes the picture of the transcript in r to w.
func draw(w io.Writer, r io.Reader, title string) error {
	var lines []string
	columns := utf8.RuneCountInString(title) + 12
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line := strings.TrimRight(strings.ReplaceAll(scanner.Text(), "\t", "    "), " \r")
		lines = append(lines, line)
		columns = max(columns, utf8.RuneCountInString(line))
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("reading the transcript: %w", err)
	}
	if len(lines) == 0 {
		return fmt.Errorf("the transcript is empty")
	}

	width := int(float64(columns)*charWidth) + 2*margin
	height := titleBar + len(lines)*lineHeight + margin
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>%s</title>
<style>
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #c9d1d9; white-space: pre }
.command { fill: #ffffff; font-weight: bold }
.remark { fill: #7ee787 }
.title { fill: #8b949e }
</style>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
<circle cx="20" cy="17" r="5" fill="#ff5f56"/><circle cx="38" cy="17" r="5" fill="#ffbd2e"/><circle cx="56" cy="17" r="5" fill="#27c93f"/>
<text class="title" x="76" y="21">%[3]s</text>
`, width, height, html.EscapeString(title))
	for i, line := range lines {
		if line == "" {
			continue
		}
		fmt.Fprintf(out, "<text%s x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n",
			class(line), margin, titleBar+(i+1)*lineHeight-5, html.EscapeString(line))
	}
	fmt.Fprintln(out, "</svg>")
	return out.Flush()
}

// class is the attribute by which a line gets its colour.
func class(line string) string {
	switch {
	case strings.HasPrefix(line, "$ "):
		return ` class="command"`
	case strings.HasPrefix(line, "# "):
		return ` class="remark"`
	default:
		return ""
	}
}
