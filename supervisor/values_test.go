// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

func TestSplitListen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address, network, rest string
		perm                   os.FileMode
		want                   string // in the error
	}{
		{"tcp/127.0.0.1:9000", "tcp", "127.0.0.1:9000", 0, ""},
		{"127.0.0.1:9000", "tcp", "127.0.0.1:9000", 0, ""},
		{":9000", "tcp", ":9000", 0, ""},
		{"tcp6/[::1]:9000", "tcp6", "[::1]:9000", 0, ""},
		{"udp/:53", "udp", ":53", 0, ""},
		{"unix//run/a.sock", "unix", "/run/a.sock", 0o200, ""},
		{"unix//run/a.sock|0660", "unix", "/run/a.sock", 0o660, ""},
		{"unix/@abstract", "unix", "@abstract", 0o200, ""},
		{"fd/3", "fd", "3", 0, ""},
		{"", "", "", 0, "not a host and one port"},
		{"tcp/127.0.0.1", "", "", 0, "not a host and one port"},
		{"tcp/127.0.0.1:9000-9005", "", "", 0, "not a host and one port"},
		{"tcp/127.0.0.1:http", "", "", 0, "not a host and one port"},
		{"udp/127.0.0.1:99999", "", "", 0, "not a host and one port"},
		{"unix/", "", "", 0, "no path"},
		{"unix//run/a.sock|0999", "", "", 0, "not an octal number"},
		{"unix//run/a.sock|07777", "", "", 0, "not an octal number"},
		{"fd/x", "", "", 0, "not the number of a descriptor"},
		{"fd/-1", "", "", 0, "not the number of a descriptor"},
		{"sctp/:1", "", "", 0, `network "sctp" is none of`},
	} {
		network, rest, perm, err := splitListen(c.address)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.address) {
				t.Errorf("%q: error %v, want %q", c.address, err, c.want)
			}
		} else if err != nil || network != c.network || rest != c.rest || perm != c.perm {
			t.Errorf("%q: %s, %s, %o (%v)", c.address, network, rest, perm, err)
		}
		if checked := CheckListen([]string{":1", c.address}); (checked == nil) != (err == nil) {
			t.Errorf("%q: checked %v, split %v", c.address, checked, err)
		}
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	env := []string{"A=1", "NOTIFY_SOCKET=/x", "LISTEN_FDS=1", "LISTEN_FDS_MINE=kept", "B=", "C", control.Env + "=3"}
	if got, want := CleanEnv(env), []string{"A=1", "LISTEN_FDS_MINE=kept", "B=", "C"}; !slices.Equal(got, want) {
		t.Errorf("cleaned %q, want %q", got, want)
	}
	if got, want := SetEnv([]string{"A=1", "B=2", "A=3"}, "A", "x=y"), []string{"B=2", "A=x=y"}; !slices.Equal(got, want) {
		t.Errorf("set %q, want %q", got, want)
	}
}

// Whoever adds a setting to Spec decides whether a process must be replaced for it.
func TestSpecEqual(t *testing.T) {
	t.Parallel()
	tuned := []string{"Standby", "StopFirst", "Restart", "ReadyTimeout", "Watchdog", "DrainTimeout", "StopTimeout", "MaxGenerations", "MaxDrains", "MaxMemoryInterval", "Told", "Prove", "ProveTimeout", "Probation", "Probe", "Errors", "Origin"}
	changed := map[string]any{
		"Command": []string{"a"}, "Env": []string{"A=1"}, "User": "nobody", "Config": []byte("{}"), "External": true, "Listen": []string{":1"},
		"Standby": 1, "StopFirst": true, "Restart": restart.Policy{Delay: 1}, "ReadyTimeout": time.Second, "Watchdog": time.Second, "DrainTimeout": time.Second, "StopTimeout": time.Second,
		"MaxGenerations": 4, "MaxDrains": 5,
		"MaxMemory": int64(1), "MaxMemoryInterval": time.Second, "Told": json.RawMessage("1"),
		"Prove": json.RawMessage("1"), "ProveTimeout": time.Second,
		"Probation": time.Second, "Probe": json.RawMessage("1"), "Errors": answers.Limit{More: 1}, "Origin": 1,
	}
	fields := reflect.TypeFor[Spec]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		value, known := changed[name]
		if !known {
			t.Errorf("no other value of %s to compare with", name)
			continue
		}
		var a, b Spec
		reflect.ValueOf(&b).Elem().Field(i).Set(reflect.ValueOf(value))
		if got, want := a.Equal(&b), slices.Contains(tuned, name); got != want {
			t.Errorf("specs that differ in %s are equal: %v, want %v", name, got, want)
		}
	}
}

func TestOutboxDropsNews(t *testing.T) {
	t.Parallel()
	o := outbox{more: make(chan struct{}, 1)}
	for range maxTold + 100 {
		o.put(order{msg: control.Message{Kind: control.KindTell}})
	}
	o.put(order{msg: control.Message{Kind: control.KindActivate}})
	o.put(order{msg: control.Message{Kind: control.KindTell}})
	o.put(order{msg: control.Message{Kind: control.KindStop}})
	queue := o.take()
	if len(queue) != maxTold+2 || queue[maxTold].msg.Kind != control.KindActivate || queue[maxTold+1].msg.Kind != control.KindStop {
		t.Errorf("%d messages are sent, the last %v", len(queue), queue[len(queue)-1])
	}
	if left := o.take(); len(left) > 0 {
		t.Errorf("%d are sent twice", len(left))
	}
}

// A process that was killed while the system ended one for lack of memory was that one.
func TestOOM(t *testing.T) {
	ready := time.Unix(1, 0)
	for name, c := range map[string]struct {
		in   inExited
		p    proc
		want string
	}{
		"killed":            {inExited{exit: exits.Exit{Signal: "SIGKILL"}}, proc{pid: 1, ready: ready}, exits.Killed},
		"oom":               {inExited{exit: exits.Exit{Signal: "SIGKILL"}, oom: true}, proc{pid: 1, ready: ready}, exits.OOM},
		"oom while loading": {inExited{exit: exits.Exit{Signal: "SIGKILL"}, oom: true}, proc{pid: 1}, exits.OOM},
		"crash":             {inExited{exit: exits.Exit{Signal: "SIGSEGV"}}, proc{pid: 1, ready: ready}, exits.Crash},
		"not ready":         {inExited{exit: exits.Exit{Signal: "SIGKILL"}}, proc{pid: 1}, exits.StartFailure},
		"not spawned":       {inExited{exit: exits.Exit{Code: 127}}, proc{}, exits.Spawn},
	} {
		if got := c.in.reason(&c.p); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
