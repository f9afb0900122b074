// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	long := strings.Repeat("a", 63)
	tests := []struct{ in, name, dial string }{
		{"http://a:8080", "http://a:8080", "a:8080"},
		{"http://a", "http://a:80", "a:80"},
		{"https://a", "https://a:443", "a:443"},
		{"h2c://a", "h2c://a:80", "a:80"},
		{"tcp://a:61616", "http://a:61616", "a:61616"},
		{"ssl://a:61617", "https://a:61617", "a:61617"},
		{"tcp://a", "http://a:80", "a:80"},
		{"ssl://a", "https://a:443", "a:443"},
		{"http://App1.Example.COM:80/", "http://app1.example.com:80", "app1.example.com:80"},
		{"http://a.:80", "http://a.:80", "a.:80"},
		{"http://my_service:0080", "http://my_service:80", "my_service:80"},
		{"http://xn--bcher-kva.example", "http://xn--bcher-kva.example:80", "xn--bcher-kva.example:80"},
		{"http://" + long + ".example", "http://" + long + ".example:80", long + ".example:80"},
		{"http://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1:1"},
		{"http://1.example:1", "http://1.example:1", "1.example:1"},
		{"http://[::1]:65535", "http://[::1]:65535", "[::1]:65535"},
		{"https://[2001:DB8:0:0::1]", "https://[2001:db8::1]:443", "[2001:db8::1]:443"},
		{"http://[::ffff:10.0.0.1]:80", "http://10.0.0.1:80", "10.0.0.1:80"},
		{"http://[::ffff:0a00:1]:80", "http://10.0.0.1:80", "10.0.0.1:80"},
		{"http://[fe80::1%25eth0]:80", "http://[fe80::1%25eth0]:80", "[fe80::1%eth0]:80"},
		{"http://[fe80::1%2525]:80", "http://[fe80::1%2525]:80", "[fe80::1%25]:80"},
		{"unix//run/app.sock", "unix//run/app.sock", "unix//run/app.sock"},
		{"unix:///run/app.sock", "unix//run/app.sock", "unix//run/app.sock"},
		{"unix:/run/App.sock", "unix//run/App.sock", "unix//run/App.sock"},
		{"unix/@abstract", "unix/@abstract", "unix/@abstract"},
		{"unix/app.sock", "unix/app.sock", "unix/app.sock"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			u, err := ParseURI(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if u.Name() != tt.name || u.Dial() != tt.dial || u.Key() != tt.name || u.String() != tt.name {
				t.Errorf("got name %q, dial %q, key %q, string %q; want %q, %q", u.Name(), u.Dial(), u.Key(), u.String(), tt.name, tt.dial)
			}
			if again, err := ParseURI(u.String()); err != nil || again != u {
				t.Errorf("reading %q again: %+v, %v", u.String(), again, err)
			}
		})
	}
}

func TestParseURIErrors(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "it is empty"},
		{"http://a b", "blank"},
		{"http://a:80 ", "blank"},
		{"http://a\n", "line end"},
		{"http://a\x00", "control character"},
		{"http://a\xff", "not valid UTF-8"},
		{"http://a#x", "fragment"},
		{"a:80", "it has no scheme: expecting http://HOST:PORT"},
		{"http:a", "it has no scheme"},
		{"http:/a", "it has no scheme"},
		{"://a", `unknown scheme "": allowed are http, https, h2c, unix`},
		{"HTTP://a", "write http"},
		{"ftp://a", `unknown scheme "ftp": allowed are http, https, h2c, unix`},
		{"wss://a", "write https"},
		{"nio://a", "write http"},
		{"discovery://a", "updateURIsURL"},
		{"static:http://a", "failover:(...)"},
		{"unix+h2c//run/x", "it has no scheme"},
		{"unix+h2c:///run/x", "versions h2c"},
		{"http://", "it has no host"},
		{"http://:80", "it has no host"},
		{"http://.", "it has no host"},
		{"http://a..b", "1 to 63 characters"},
		{"http://" + strings.Repeat("a", 64), "1 to 63 characters"},
		{"http://" + strings.Repeat("a.", 130) + "a", "longer than 253 characters"},
		{"http://bücher.example", "xn-- form"},
		{"http://a%2eb", "percent escapes"},
		{"http://a%20b", "percent escapes"},
		{"http://a;b", "expecting letters"},
		{"http://a~b", "expecting letters"},
		{"http://{env.HOST}:80", "placeholders"},
		{"http://a:{env.PORT}", "placeholders"},
		{"http://user:secret@a", "user names and passwords"},
		{"http://a:", "no port follows the colon"},
		{"http://a:0", "from 1 to 65535"},
		{"http://a:65536", "from 1 to 65535"},
		{"http://a:99999999999999999999", "from 1 to 65535"},
		{"http://a:+80", "from 1 to 65535"},
		{"http://a:http", "from 1 to 65535"},
		{"http://a:80-90", "ranges are not allowed"},
		{"http://a:-1", "ranges are not allowed"},
		{"http://a/x", "it has a path"},
		{"http://a//", "it has a path"},
		{"http://256.0.0.1", "IPv4 address of four decimal numbers"},
		{"http://010.0.0.1", "IPv4 address of four decimal numbers"},
		{"http://2130706433", "IPv4 address of four decimal numbers"},
		{"http://0x7f.1", "IPv4 address of four decimal numbers"},
		{"http://0x7f000001", "IPv4 address of four decimal numbers"},
		{"http://127.0.0.1.", "IPv4 address of four decimal numbers"},
		{"http://::1:80", "IPv6 address in brackets"},
		{"http://[::1", "not closed"},
		{"http://[::1]80", "follows the IPv6 address"},
		{"http://[::1]:", "no port follows the colon"},
		{"http://[127.0.0.1]:80", "is not an IPv6 address"},
		{"http://[a]:80", "is not an IPv6 address"},
		{"http://[]:80", "is not an IPv6 address"},
		{"http://[fe80::1%eth0]:80", "a zone follows %25"},
		{"http://[fe80::1%25]:80", "name of a network interface"},
		{"http://[::ffff:10.0.0.1%25eth0]:80", "no zone"},
		{"http://[fe80::1%25a/b]:80", "it has a path"},
		{"unix://run/app.sock", "path of a socket"},
		{"unix/", "path of a socket"},
		{"unix//", "names a directory"},
		{"unix://", "path of a socket"},
		{"unix//run/a%20b", "percent escapes"},
		{"unix//run/{env.X}", "placeholders"},
		{"unix//run/(a)", "parentheses"},
		{"unix//" + strings.Repeat("x", 107), "at most 107"},
		{"http://a?", ""},
		{"http://a?maxRequests", "option \"maxRequests\" has no value"},
		{"http://a?maxRequests=", "has no value"},
		{"http://a?maxRequests=1&", "an option is empty"},
		{"http://a?maxRequests=1&maxRequests=1", "given twice"},
		{"http://a?maxRequests=1?soTimeout=1", "two question marks"},
		{"http://a?maxRequests=%zz", "percent escape"},
		{"http://a?maxRequests=%00", "control character"},
		{"http://a?maxRequests=-1", `option maxRequests: value "-1" is not allowed: expecting a whole number, at least 0`},
		{"http://a?maxRequests=1.5", "whole number"},
		{"http://a?maxRequests=%2B5", "whole number"},
		{"http://a?maxRequests=+5", "whole number"},
		{"http://a?maxRequests=0x10", "whole number"},
		{"http://a?maxRequests=1_0", "whole number"},
		{"http://a?maxRequests=99999999999999999999", "whole number"},
		{"http://a?connectionTimeout=0", "whole milliseconds without a unit, such as 500, above 0"},
		{"http://a?connectionTimeout=-1", "whole milliseconds without a unit, such as 500, above 0"},
		{"http://a?connectionTimeout=3s", "whole milliseconds"},
		{"http://a?soTimeout=-1", "at least 0"},
		{"http://a?soTimeout=9223372036855", "at least 0"},
		{"http://a?wireFormat.maxInactivityDuration=-30000", "at least 0"},
		{"http://a?maxInactivityDuration=1", "did you mean wireFormat.maxInactivityDuration"},
		{"http://a?randomize=true", "option of the pool"},
		{"http://a?nested.soTimeout=1", "allowed are maxRequests, connectionTimeout, soTimeout, wireFormat.maxInactivityDuration"},
		{"http://a?bogus=1", `unknown option "bogus": allowed are maxRequests`},
		{"http://a?=1", `unknown option ""`},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			u, err := ParseURI(tt.in)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatalf("got %v without an error", u)
			}
			if !strings.HasPrefix(err.Error(), "reading address ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
			if len(err.Error()) > 700 {
				t.Errorf("the error has %d bytes: %v", len(err.Error()), err)
			}
		})
	}
}

func TestParseDial(t *testing.T) {
	tests := []struct{ in, dial, err string }{
		{"A:80", "a:80", ""},
		{"tcp/a:80", "a:80", ""},
		{"10.0.0.1:080", "10.0.0.1:80", ""},
		{"[::1]:80", "[::1]:80", ""},
		{"[0:0::1]:80", "[::1]:80", ""},
		{"[fe80::1%eth0]:80", "[fe80::1%eth0]:80", ""},
		{"unix//run/x", "unix//run/x", ""},
		{"unixbox:80", "unixbox:80", ""},
		{"a", "", "it has no port"},
		{":80", "", "it has no host"},
		{"[fe80::1%eth/0]:80", "", "name of a network interface"},
		{"http://a:80", "", "has no scheme"},
		{"a:80?maxRequests=1", "", "from 1 to 65535"},
		{"u:secret@a:80", "", "user names"},
		{"{env.X}:80", "", "placeholders"},
		{"udp/a:80", "", "expecting letters"},
		{"unix//run/x?soTimeout=1", "", "question marks"},
		{"", "", "empty"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			u, err := ParseDial(tt.in)
			switch {
			case tt.err == "" && (err != nil || u.Dial() != tt.dial):
				t.Errorf("got %q, %v; want %q", u.Dial(), err, tt.dial)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %q in it", err, tt.err)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Errorf("the error shows a password: %v", err)
			}
			if err == nil && u.Scheme != "" && u.Scheme != SchemeUnix {
				t.Errorf("got scheme %q", u.Scheme)
			}
		})
	}
}

func TestURIOptions(t *testing.T) {
	u, err := ParseURI("http://a?wireFormat.maxInactivityDuration=0&SoTimeout=1500&connectionTimeout=250&maxRequests=7")
	if err != nil {
		t.Fatal(err)
	}
	const want = "http://a:80?maxRequests=7&connectionTimeout=250&soTimeout=1500&wireFormat.maxInactivityDuration=0"
	if got := u.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := u.Name(); got != "http://a:80" {
		t.Errorf("options are in the name %s", got)
	}
}
