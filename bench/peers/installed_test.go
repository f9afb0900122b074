// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// installed are nginx and HAProxy, whatever their versions, and how each checks a
// configuration.
var installed = []struct {
	name  string
	start func(*Site, string) (kind, error)
	check []string // put between the program and its other arguments
}{
	{"nginx", newNginx, []string{"-t"}},
	{"haproxy", newHAProxy, []string{"-c", "-dW"}}, // a warning is an error then
}

// subject is the installed program.
func subject(t *testing.T, name string, start func(*Site, string) (kind, error)) Subject {
	t.Helper()
	var set Set
	set.other(t.Context(), name, start)
	if len(set.Others) == 0 {
		t.Skipf("%v is not installed (bench/install.sh installs it)", set.Absent)
	}
	return set.Others[0]
}

// What a version deprecates is not its best setting.
func TestPeersAcceptTheirConfigurations(t *testing.T) {
	for _, program := range installed {
		t.Run(program.name, func(t *testing.T) {
			peer := subject(t, program.name, program.start)
			for _, c := range cases {
				for _, tls := range []bool{false, true} {
					port, err := harness.FreePort()
					if err != nil {
						t.Fatal(err)
					}
					site := &Site{
						Case: c, TLS: tls, Dir: t.TempDir(), Port: port, Workers: 2, Root: os.Geteuid() == 0,
						Backends: []string{"127.0.0.1:81", "127.0.0.1:82"},
					}
					if tls {
						if err := site.certify(); err != nil {
							t.Fatal(err)
						}
					}
					k, err := peer.start(site)
					if err != nil {
						t.Fatal(err)
					}
					args := slices.Insert(k.command(), 1, program.check...)
					cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
					if site.Passed {
						socket, err := site.listen()
						if err != nil {
							t.Fatal(err)
						}
						defer socket.Close()
						cmd.ExtraFiles = []*os.File{socket}
					}
					if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("[warn]")) {
						t.Errorf("%s, case %s, TLS %t: %v\n%s", peer.Name, c, tls, err, out)
					}
				}
			}
		})
	}
}

// Reloads that follow each other at once leave a worker that serves.
func TestPeersReload(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer backend.Close()
	for _, program := range installed {
		t.Run(program.name, func(t *testing.T) {
			site := Site{Case: "reload", Workers: 1, Backends: []string{backend.Listener.Addr().String()}}
			p, err := subject(t, program.name, program.start).Start(t.Context(), t.TempDir(), site)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Stop(); err != nil {
					t.Error(err)
				}
			}()
			for range 5 {
				if err = p.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				client := harness.Client{Addr: p.Addr(), Timeout: startPatience}
				if res := client.Do(t.Context(), "", time.Now(), harness.Request{Method: "GET"}); res.Fate != harness.OK {
					t.Fatalf("%s %d: %v", res.Fate, res.Status, res.Err)
				}
			}
		})
	}
}

func TestAtLeast(t *testing.T) {
	for _, tt := range []struct {
		has, wants string
		want       bool
	}{
		{"1.22.1", "1.25.1", false},
		{"1.25.1", "1.25.1", true},
		{"1.30.6", "1.25.1", true},
		{"1.9.15", "1.25.1", false},
		{"", "1.25.1", false},
	} {
		if got := (&Site{Version: tt.has}).AtLeast(tt.wants); got != tt.want {
			t.Errorf("%q is at least %q: %t", tt.has, tt.wants, got)
		}
	}
}
