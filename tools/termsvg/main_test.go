// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestDraw(t *testing.T) {
	const transcript = "# a remark\n$ cat <file> & \"wait\"\n\n  indented\n"
	var picture strings.Builder
	if err := draw(&picture, strings.NewReader(transcript), "a & b"); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for d, in := xml.NewDecoder(strings.NewReader(picture.String())), ""; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, &picture)
		}
		switch token := token.(type) {
		case xml.StartElement:
			in = token.Name.Local
		case xml.EndElement:
			in = ""
		case xml.CharData:
			if in == "text" {
				texts = append(texts, string(token))
			}
		}
	}
	want := []string{"a & b", "# a remark", `$ cat <file> & "wait"`, "  indented"}
	if strings.Join(texts, "\n") != strings.Join(want, "\n") {
		t.Errorf("drew %q, want %q", texts, want)
	}
	for class, n := range map[string]int{"command": 1, "remark": 1} {
		if got := strings.Count(picture.String(), `<text class="`+class+`"`); got != n {
			t.Errorf("%d lines of class %s, want %d", got, class, n)
		}
	}
}

func TestNothingToDraw(t *testing.T) {
	if err := draw(io.Discard, strings.NewReader(""), "empty"); err == nil {
		t.Error("an empty transcript was drawn")
	}
}
