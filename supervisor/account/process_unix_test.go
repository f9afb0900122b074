// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package account

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// A test process that has a page is the child of TestKilled: it writes until it is
// killed.
func TestMain(m *testing.M) {
	if _, ok := os.LookupEnv(Env); !ok {
		os.Exit(m.Run())
	}
	w, err := Inherit()
	if err != nil || w == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for i := range 10 { // what it has in progress all the time
		e := begin(w, Begin{Method: "POST", Path: "/held", ID: fmt.Sprint(i), Unsafe: true})
		e.At("pool", "backend")
		e.Written()
	}
	fmt.Println("begun")
	for i := 0; ; i++ {
		text := fmt.Sprint(i)
		e := begin(w, Begin{Method: "GET", Host: text, Path: text, ID: text})
		e.At(text, text)
		e.End()
	}
}

// What a killed process had in progress is exact: what it held, and at most the one that
// it was at, of which no text is mixed with another's.
func TestKilled(t *testing.T) {
	torn, one := 0, 0
	for range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Stderr = os.Stderr
		page, err := Attach(cmd)
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = io.ReadFull(out, make([]byte, len("begun")))
		}
		for a := new(Account); err == nil && len(a.Requests) < 11; { // until it is at work
			a, err = Read(page)
		}
		if err == nil {
			err = cmd.Process.Signal(syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		a, err := Read(page)
		_ = page.Close()
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, r := range a.Requests {
			switch {
			case r.Path == "/held":
				held++
				if !r.Unsafe || !r.Written || r.Pool != "pool" || r.Backend != "backend" {
					t.Errorf("held: %+v", r)
				}
			case r.Host != r.Path || r.Path != r.ID || r.Pool != "" && r.Pool != r.ID || r.Backend != r.Pool:
				t.Errorf("mixed: %+v", r)
			default:
				one++
			}
		}
		if held != 10 || len(a.Requests)+a.Torn > 11 || a.More != 0 {
			t.Errorf("%d held, %d in all, %d torn, %d more", held, len(a.Requests), a.Torn, a.More)
		}
		torn += a.Torn
	}
	t.Logf("of 20 killed processes %d were at a request, %d in the middle of writing its entry", one, torn)
}
