// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// away is an admin endpoint that breaks the first connections, as one does that is opened
// anew, and then answers.
type away struct {
	net.Listener
	breaks int
}

func (a *away) Accept() (net.Conn, error) {
	for {
		conn, err := a.Listener.Accept()
		if err != nil || a.breaks == 0 {
			return conn, err
		}
		a.breaks--
		_ = conn.Close()
	}
}

// TestCheckWaitsForTheEndpoint: a check asks again while nothing answers, and takes the first
// answer, whatever it is; without one it ends in time.
func TestCheckWaitsForTheEndpoint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		breaks, status int
		limit          time.Duration
		code           int
	}{
		{"serves", 0, http.StatusOK, time.Hour, exitYes},
		{"serves after a while", 3, http.StatusOK, time.Hour, exitYes},
		{"does not serve", 3, http.StatusServiceUnavailable, time.Hour, exitNo},
		{"no broker", 3, http.StatusNotFound, time.Hour, exitNoBroker},
		{"nothing", 1 << 30, 0, 100 * time.Millisecond, exitNoBroker},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, map[int]string{http.StatusServiceUnavailable: `{"error": "no process accepts"}`}[c.status])
			})}
			go func() { _ = srv.Serve(&away{ln, c.breaks}) }()
			defer srv.Close()
			cmd := checkCommand()
			if err := errors.Join(cmd.Flags().Set("address", ln.Addr().String()), cmd.Flags().Set("timeout", c.limit.String())); err != nil {
				t.Fatal(err)
			}
			if code, err := cmdCheck(caddycmd.Flags{FlagSet: cmd.Flags()}, nil); code != c.code {
				t.Errorf("exit code %d (%v), want %d", code, err, c.code)
			}
		})
	}
}
