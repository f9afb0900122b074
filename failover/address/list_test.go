// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "http://10.0.%d.%d:80\n", i/250, i%250+1)
		}
		return b.String()
	}
	for _, tc := range []struct {
		name, text string
		want       []string // nil for an error
		err        string
	}{
		{"lines", "http://a:1\nhttp://b:2\n", []string{"http://a:1", "http://b:2"}, ""},
		{"commas and blanks", " http://a:1 , http://b:2\t,\r\n http://c ", []string{"http://a:1", "http://b:2", "http://c:80"}, ""},
		{"comma at the end of a line", "http://a:1,\nhttp://b:2", []string{"http://a:1", "http://b:2"}, ""},
		{"without schemes", "a:1\nb:2", []string{"http://a:1", "http://b:2"}, ""},
		{"the same twice", "http://A:1,tcp://a:1", []string{"http://a:1"}, ""},
		{"byte order mark", "\ufeffhttp://a:1", []string{"http://a:1"}, ""},
		{"at the bound", many(MaxListAddresses), nil, "ok"},
		{"one too many", many(MaxListAddresses + 1), nil, "more than 1000"},
		{"too long", "http://a:1\n" + strings.Repeat(" \n", MaxListSize/2) + "http://b:1", nil, "longer than 65536"},
		{"empty", " \n ", nil, "no address"},
		{"commas only", ",,\n,", nil, "no address"},
		{"one bad of two", "http://a:1\nhttp://b:port", nil, `address "http://b:port"`},
		{"mixed schemes", "http://a:1\nhttps://b:2", nil, "begin with http://"},
		{"HTML", "<!doctype html><p>not found", nil, "HTML"},
		{"garbage", "\x00\xff\xfe", nil, "not text"},
		{"words", "no such list", nil, "address"},
		{"path", "http://a:1/list", nil, "path"},
		{"password", "http://u:p@a:1", nil, "passwords"},
		{"JSON", `{"uris":["http://a:1"]}`, nil, "address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list, err := ParseList([]byte(tc.text), SchemeHTTP)
			if tc.err == "ok" {
				if err != nil || len(list) != MaxListAddresses {
					t.Fatalf("%d addresses, error %v", len(list), err)
				}
				return
			}
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || list != nil {
					t.Fatalf("%v, error %v, want one with %q", list, err, tc.err)
				}
				return
			}
			var names []string
			for _, u := range list {
				names = append(names, u.Name())
			}
			if err != nil || !slices.Equal(names, tc.want) {
				t.Errorf("%v (%v), want %v", names, err, tc.want)
			}
		})
	}
}

func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"http://a:1, b:2\n", "<html>", "\ufeff,\n", "unix//run/x", "https://a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := ParseList(text, SchemeHTTP)
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d addresses and error %v", len(list), err)
		}
		for _, u := range list {
			if again, err := ParseURI(u.String()); err != nil || again.Key() != u.Key() {
				t.Errorf("%s reads back as %v (%v)", u, again, err)
			}
			if u.Scheme != SchemeHTTP && u.Scheme != SchemeUnix {
				t.Errorf("%s has another scheme", u)
			}
		}
	})
}
