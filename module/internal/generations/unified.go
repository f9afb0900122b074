// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"fmt"
	"strings"
)

const (
	// around is how many equal lines are shown before and after a change.
	around = 3
	// maxTable bounds the work of finding what two texts have in common, in pairs of
	// lines: larger changes are shown as what was removed and what was added.
	maxTable = 4 << 20
	// maxDifference bounds a difference, in bytes.
	maxDifference = 64 << 10
)

func splitLines(text []byte) []string { return strings.Split(string(text), "\n") }

// edit is a line of a difference: ' ' for both, '-' for the old one, '+' for the new one.
type edit struct {
	op   byte
	line string
}

// edits turn a into b.
func edits(a, b []string) (list []edit) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		list = append(list, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	same := 0
	for same < min(len(a), len(b)) && a[len(a)-1-same] == b[len(b)-1-same] {
		same++
	}
	list = append(list, middle(a[:len(a)-same], b[:len(b)-same])...)
	for _, line := range a[len(a)-same:] {
		list = append(list, edit{' ', line})
	}
	return list
}

// middle turns a into b by way of their longest common subsequence.
func middle(a, b []string) (list []edit) {
	var common [][]int32 // of what begins at both places
	if len(a) > 0 && len(b) <= maxTable/len(a) {
		common = make([][]int32, len(a)+1)
		common[len(a)] = make([]int32, len(b)+1)
		for i := len(a) - 1; i >= 0; i-- {
			common[i] = make([]int32, len(b)+1)
			for k := len(b) - 1; k >= 0; k-- {
				if common[i][k] = max(common[i+1][k], common[i][k+1]); a[i] == b[k] {
					common[i][k] = common[i+1][k+1] + 1
				}
			}
		}
	}
	i, k := 0, 0
	for i < len(a) || k < len(b) {
		switch {
		case common != nil && i < len(a) && k < len(b) && a[i] == b[k]:
			list = append(list, edit{' ', a[i]})
			i, k = i+1, k+1
		case i < len(a) && (common == nil || k == len(b) || common[i+1][k] >= common[i][k+1]):
			list = append(list, edit{'-', a[i]})
			i++
		default:
			list = append(list, edit{'+', b[k]})
			k++
		}
	}
	return list
}

// unified is the difference of two texts as diff -u writes it, without a header; empty if
// there is none.
func unified(a, b []string) string {
	list := edits(a, b)
	var out strings.Builder
	oldLine, newLine := 1, 1
	for at := 0; at < len(list); {
		if list[at].op == ' ' {
			at, oldLine, newLine = at+1, oldLine+1, newLine+1
			continue
		}
		begin := max(0, at-around)
		end, last := at, at // last is after the last change of this part
		for ; end < len(list) && end-last < 2*around; end++ {
			if list[end].op != ' ' {
				last = end + 1
			}
		}
		end = min(last+around, len(list))
		fromOld, fromNew := oldLine-(at-begin), newLine-(at-begin)
		olds, news := 0, 0
		var body strings.Builder
		for _, e := range list[begin:end] {
			if e.op != '+' {
				olds++
			}
			if e.op != '-' {
				news++
			}
			body.WriteString(string(e.op) + e.line + "\n")
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n%s", fromOld, olds, fromNew, news, body.String())
		oldLine, newLine, at = fromOld+olds, fromNew+news, end
		if out.Len() > maxDifference {
			return strings.ToValidUTF8(out.String()[:maxDifference], "") + "\n[the rest is left out]\n"
		}
	}
	return out.String()
}
