// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package plot

import (
	"fmt"
	"html"
	"strings"
)

// The measures of a picture, in pixels.
const (
	width     = 760
	margin    = 20
	nameWidth = 190 // where bars begin
	barWidth  = 430 // of the longest
	barHeight = 16
	barEvery  = 22
	headLines = 62 // title and remark
	panelHead = 28
	panelGap  = 10
)

// Colours that differ in brightness too.
const (
	oursColour  = "#1b6ca8"
	otherColour = "#b3b3b3"
)

// draw is the picture of a figure.
func draw(f *figure, panels []panel) string {
	height := headLines + margin
	for _, p := range panels {
		height += panelHead + len(p.bars)*barEvery + panelGap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(f.title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(&b, margin, 30, `font-size="17" font-weight="bold" fill="#222222"`, f.title)
	text(&b, margin, 50, `fill="#555555"`, f.about)
	y := headLines
	for _, p := range panels {
		y = p.draw(&b, y, f.unit) + panelGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// draw draws a panel below y, and returns where it ends.
func (p *panel) draw(b *strings.Builder, y int, unit string) int {
	text(b, margin, y+18, `font-weight="bold" fill="#222222"`, p.title)
	y += panelHead
	longest := 0.0
	for _, one := range p.bars {
		longest = max(longest, one.value)
	}
	for _, one := range p.bars {
		colour, length := otherColour, 0.0
		if one.ours {
			colour = oursColour
		}
		if longest > 0 {
			length = one.value / longest * barWidth
		}
		text(b, margin, y+13, `fill="#222222"`, one.name)
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", margin+nameWidth, y, length, barHeight, colour)
		text(b, margin+nameWidth+int(length)+6, y+13, `fill="#222222"`, number(one.value, unit))
		y += barEvery
	}
	return y
}

func text(b *strings.Builder, x, y int, style, words string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" %s>%s</text>`+"\n", x, y, style, html.EscapeString(words))
}
