// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const aloneFile = `{
	admin {$ADMIN}
	broker {
		ha_log off
	}
}
http://:{$PORT} {
	respond {$NAME}
}
http://:{$PORT} {
	bind 127.0.0.1
	respond {$NAME}
}
`

// A second broker that would share an address of the first one ends at once, and says
// which process has it. The first one goes on.
func TestSecondBroker(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	first := startBroker(t, aloneFile, "PORT="+port, "NAME=first")
	for _, tt := range []struct{ name, admin, port, address string }{
		{"same file", first.AdminAddr(), port, first.AdminAddr()},
		{"same admin endpoint", first.AdminAddr(), freePort(t), first.AdminAddr()},
		{"same site", "127.0.0.1:" + freePort(t), port, ":" + port},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := failStart(t, newBroker(t, aloneFile, "PORT="+tt.port, "NAME=second", "ADMIN="+tt.admin))
			pid := fmt.Sprintf("process %d (", first.Process().Pid())
			if !strings.Contains(out, tt.address) || !strings.Contains(out, pid) {
				t.Errorf("the error does not say %s and %s:\n%s", tt.address, pid, out)
			}
			if got := get(t, "127.0.0.1:"+port).Body; got != "first" {
				t.Errorf("answered %q, want the first broker", got)
			}
		})
	}
}

// Of two brokers that are started at the same moment exactly one serves.
func TestTwoBrokersAtOnce(t *testing.T) {
	t.Parallel()
	port, admin := freePort(t), "127.0.0.1:"+freePort(t)
	both := []*harness.Broker{
		newBroker(t, aloneFile, "PORT="+port, "NAME=one", "ADMIN="+admin),
		newBroker(t, aloneFile, "PORT="+port, "NAME=two", "ADMIN="+admin),
	}
	for _, b := range both {
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
	}
	var served, refused *harness.Broker
	select {
	case <-both[0].Process().Exited():
		refused, served = both[0], both[1]
	case <-both[1].Process().Exited():
		refused, served = both[1], both[0]
	case <-t.Context().Done():
		t.Fatal("both brokers run")
	}
	if code := refused.Process().ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1\n%s", code, refused.Process().Output())
	}
	if err := harness.Until(t.Context(), soon, func() error {
		client := &harness.Client{Addr: "127.0.0.1:" + port}
		res := client.Do(t.Context(), t.Name(), time.Now(), harness.Request{Method: "GET"})
		if res.Fate != harness.OK {
			return fmt.Errorf("GET: %s %d (%w)", res.Fate, res.Status, res.Err)
		}
		return nil
	}); err != nil {
		t.Errorf("neither serves: %v\n%s", err, served.Process().Output())
	}
}
