// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, line, text2 string }{
		{"", "", ""},
		{"dial tcp 10.0.0.1:80: connection refused", "dial tcp 10.0.0.1:80: connection refused", "dial tcp 10.0.0.1:80: connection refused"},
		{"größe 大きさ", "größe 大きさ", "größe 大きさ"},
		{"one\ntwo\tthree\r", "one two three ", "one\ntwo\tthree "},
		{"\x1b[31mred\x1b[0m\x07", "?[31mred?[0m?", "?[31mred?[0m?"},
		{"csi \u009b31m del \x7f", "csi ?31m del ?", "csi ?31m del ?"},
		{"right \u202e to left \u2066", "right ? to left ?", "right ? to left ?"},
		{"\xff\xfe broken", "?? broken", "?? broken"},
		{"\u2028\u2029\u200b", "???", "???"},
	} {
		if got := Line(c.text, 100); got != c.line {
			t.Errorf("line %q is %q, want %q", c.text, got, c.line)
		}
		if got := Text(c.text, 100); got != c.text2 {
			t.Errorf("text %q is %q, want %q", c.text, got, c.text2)
		}
	}
	if got := Line(strings.Repeat("ü", 1000), 101); got != strings.Repeat("ü", 50)+"..." {
		t.Errorf("it was cut to %q", got)
	}
	if long := strings.Repeat("\x00", 1000); Line(long, 10) != strings.Repeat("?", 10)+"..." {
		t.Errorf("it was cut to %q", Line(long, 10))
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"", "\x1b]0;title\x07", "\xf0\x9f", "a\u202eb", "\U000e0001 tag", `{"a":"\u001b"}`} {
		f.Add(s, 5)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 0 || limit > 1<<20 {
			return
		}
		for name, got := range map[string]string{"line": Line(text, limit), "text": Text(text, limit)} {
			if len(got) > limit+len(cut) || !utf8.ValidString(got) {
				t.Fatalf("%s of %q in %d bytes is %q", name, text, limit, got)
			}
			for _, r := range got {
				if !unicode.IsPrint(r) && (name == "line" || r != '\n' && r != '\t') {
					t.Fatalf("%s of %q has %U", name, text, r)
				}
			}
		}
		value, err := json.Marshal([]string{text, "\U000e0001\u009b"})
		if err != nil {
			t.Fatal(err)
		}
		var before, after []string
		shown := JSON(value)
		if err := json.Unmarshal(value, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(shown, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Fatalf("%s became %s (%v)", value, shown, err)
		}
		for _, r := range string(shown) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%s has %U", shown, r)
			}
		}
	})
}
