// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const withSecrets = `{
	admin {$ADMIN}
	broker {
		network {
			name a
			advertise http://127.0.0.1:{$PORT}
			bind 127.0.0.1:{$GOSSIP}
			key {env.NETWORK_KEY}
		}
		child other {
			command sh -c "exec sleep 1000" --password=hidden
			ha_log other.log
			env TOKEN {env.TOKEN_OF_OTHER}
		}
	}
}
http://:{$PORT} {
	respond "{env.GREETING} {env.UNSET}"
}
`

// What the broker was started with reaches a child only where it is needed, and a
// command line's secrets no file that others can read.
func TestSecretsStayWithTheBroker(t *testing.T) {
	const key, token, unused = "a key that nobody else may have", "token-of-the-other", "a-secret-of-nobody"
	port := freePort(t)
	b := startBroker(t, withSecrets, "PORT="+port, "GOSSIP="+gossipPort(t),
		"NETWORK_KEY="+key, "TOKEN_OF_OTHER="+token, "UNUSED="+unused, "GREETING=hello")
	if body := get(t, "127.0.0.1:"+port).Body; strings.TrimSpace(body) != "hello" {
		t.Errorf("the site answers %q", body)
	}
	other, err := b.AwaitChild(t.Context(), "other", func(c *harness.Child) bool { return c.State == "active" })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		pid      int
		has, not []string
	}{
		{"default", awaitActive(t, b, 0), []string{"GREETING=hello", "HOME="}, []string{key, token, unused}},
		{"other", other.Pid, []string{"TOKEN=" + token, "HOME="}, []string{key, unused, "GREETING", "TOKEN_OF_OTHER"}},
	} {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.has {
			if !strings.Contains("\x00"+string(env), "\x00"+want) {
				t.Errorf("child %s has no %s", c.name, want)
			}
		}
		for _, secret := range c.not {
			if strings.Contains(string(env), secret) {
				t.Errorf("child %s has %s", c.name, secret)
			}
		}
	}
	log := filepath.Join(b.Dir, "other.log")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(log); err != nil || info.Mode().Perm()&0o027 != 0 {
		t.Errorf("the log has mode %v (%v)", info.Mode(), err)
	}
	if strings.Contains(string(text), "hidden") || !strings.Contains(string(text), "SHA0158 [HA] command line for child broker: [sh, 3 arguments]") {
		t.Errorf("the log has\n%s", text)
	}
}
