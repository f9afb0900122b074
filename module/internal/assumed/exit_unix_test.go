// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package assumed

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// stopping is an app that says, when it is stopped, whether Caddy exits.
type stopping struct{}

func init() { caddy.RegisterModule(stopping{}) }

func (stopping) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "assumed_stopping", New: func() caddy.Module { return new(stopping) }}
}

func (stopping) Start() error { return nil }

func (stopping) Stop() error {
	fmt.Println("exiting:", caddy.Exiting())
	return nil
}

// exitsVar is set in the process that TestCaddyExitsBeforeItStopsApps ends.
const exitsVar = "ASSUMED_TEST_EXITS"

func TestCaddyExitsBeforeItStopsApps(t *testing.T) {
	if os.Getenv(exitsVar) != "" {
		caddy.TrapSignals()
		if err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}}, "apps": {"assumed_stopping": {}}}`), true); err != nil {
			t.Fatal(err)
		}
		// Caddy may not listen for signals yet, so that they must not end the process,
		// and are sent again until Caddy does.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
		for tick := time.Tick(10 * time.Millisecond); ; <-tick {
			if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestCaddyExitsBeforeItStopsApps$")
	cmd.Env = append(cmd.Environ(), exitsVar+"=1", "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "exiting: true") {
		t.Errorf("%v, want Caddy to say that it exits when it stops an app:\n%s", err, out)
	}
}
