// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package exits

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

func TestSummary(t *testing.T) {
	died := time.Unix(1000, 0)
	request := func(method, path string, written bool) account.Request {
		return account.Request{Begun: died.Add(-time.Second), Method: method, Host: "a", Path: path, Unsafe: method == "POST", Written: written}
	}
	for _, c := range []struct {
		name string
		a    *account.Account
		err  error
		want *InFlight
	}{
		{"nothing", &account.Account{}, nil, nil},
		{"no account", nil, nil, nil},
		{"unreadable", nil, errors.New("of another version"), &InFlight{Unknown: "of another version"}},
		{
			"some", &account.Account{Requests: []account.Request{request("GET", "/", true), request("POST", "/x", true), request("POST", "/x", false)}}, nil,
			&InFlight{Requests: 3, Unsafe: 2, Written: 2, InDoubt: 1, Routes: []Route{
				{Method: "POST", Host: "a", Path: "/x", Requests: 2, Written: 1, InDoubt: 1, Oldest: 1},
				{Method: "GET", Host: "a", Path: "/", Requests: 1, Written: 1, Oldest: 1},
			}},
		},
		{
			"more than fit", &account.Account{More: 7, MoreUnsafe: 2, Torn: 1}, nil,
			&InFlight{Requests: 8, Unsafe: 2, Unlisted: 7, UnlistedUnsafe: 2, Torn: 1},
		},
	} {
		if got := Summary(c.a, c.err, died); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	// However many paths there are, few routes are shown, and all requests are in one.
	for of, want := range map[string]string{"/order/%d": "/order/…", "/order%d": "…"} {
		a := new(account.Account)
		for i := range 3 * maxRoutes {
			a.Requests = append(a.Requests, request("GET", fmt.Sprintf(of, i), false))
		}
		f := Summary(a, nil, died)
		n := 0
		for _, r := range f.Routes {
			n += r.Requests
		}
		if last := f.Routes[len(f.Routes)-1]; len(f.Routes) > maxRoutes || n != 3*maxRoutes || last.Path != want {
			t.Errorf("%d routes of %d requests, the last one is %+v", len(f.Routes), n, last)
		}
	}
}

// A brief exit has short texts, and the whole one keeps its own.
func TestBrief(t *testing.T) {
	var none *Exit
	if none.Brief() != nil {
		t.Error("nothing became something")
	}
	long := strings.Repeat("x", 2*maxBrief)
	e := &Exit{Code: 2, Stderr: long, Fault: "panic: x", Goroutine: "g", InFlight: &InFlight{Requests: 1, Routes: []Route{{}}}}
	if b := e.Brief(); b.Stderr != "panic: x\n\ng" || b.Goroutine != "" || b.Fault != e.Fault || b.InFlight.Routes != nil || b.InFlight.Requests != 1 {
		t.Errorf("%+v", b)
	}
	if e.Stderr != long || e.Goroutine != "g" || len(e.InFlight.Routes) != 1 {
		t.Errorf("the whole one is %+v", e)
	}
	if b := (&Exit{Stderr: "a\n" + long}).Brief(); len(b.Stderr) > maxBrief+3 {
		t.Errorf("%d bytes", len(b.Stderr))
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"", 3, ""},
		{"one", 3, "one"},
		{"one\n\ntwo\r\n  three  \n\n", 2, "two\nthree"},
		{"one\ntwo", 0, ""},
	} {
		if got := LastLines(c.text, c.n); got != c.want {
			t.Errorf("%d of %q: %q, want %q", c.n, c.text, got, c.want)
		}
	}
}

func TestLastWords(t *testing.T) {
	t.Parallel()
	const text = `{"level":"info","msg":"serving"}
{"level":"warn","msg":"no room"}
{"level":"debug","msg":"a detail"}
plain
{"Level":"INFO","msg":"serving"}
{"level":"info" is no entry
`
	if got, want := LastWords(text, 5), "{\"level\":\"warn\",\"msg\":\"no room\"}\nplain\n{\"level\":\"info\" is no entry"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := LastWords(text, 1); got != `{"level":"info" is no entry` {
		t.Errorf("the last one is %q", got)
	}
}

func TestStartErrorShowsLastLines(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cause, stderr, want string
	}{
		{"nothing", "", "", `starting child "a": ended before it was ready (exit code 2)`},
		{"no cause", "", "one\ntwo\nthree\nfour\n", "ended before it was ready (exit code 2): two\nthree\nfour"},
		{"cause", "not ready within 30s", "loading\nwaiting for a lock\n", "not ready within 30s (exit code 2): loading\nwaiting for a lock"},
		{"said twice", "unknown module: x", "loading\nError: unknown module: x\n", "unknown module: x (exit code 2): loading"},
		{"aborted", "not ready within 30s", "waiting for a lock\nSIGABRT: abort\nPC=0x1 m=0\n\ngoroutine 1:\nmain()\n", "(exit code 2): waiting for a lock"},
		{"log lines", "not ready within 30s", `{"level":"info","msg":"loading"}` + "\n" + `{"level":"error","msg":"opening","error":"no space"}` + "\n{}\n", "(exit code 2): loading\nopening: no space\n{}"},
		{"only aborted", "not ready within 30s", "SIGABRT: abort\nPC=0x1 m=0\n", "not ready within 30s (exit code 2)"},
	} {
		err := &StartError{Child: "a", Exit: Exit{Code: 2, Stderr: c.stderr}, Cause: c.cause}
		if got := err.Error(); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %q, want %q at its end", c.name, got, c.want)
		}
	}
}
