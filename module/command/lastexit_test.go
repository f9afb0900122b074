// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

func TestLastExitIsShown(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.Local)
	crash := &exits.Exit{
		Code: 2, Reason: "crash", At: at, Pid: 7, Role: "active", Generation: 3, Uptime: 24, Memory: 64 << 20, PeakMemory: 70 << 20,
		Fault: "panic: no\x1b[2J", Goroutine: "goroutine 9 [running]:\nmain.fail()",
		Stderr: `{"level":"warn","logger":"admin","msg":"admin endpoint on open interface; host checking disabled","address":"unix//tmp/1.sock|0600"}` +
			"\n{\"level\":\"info\",\"msg\":\"serving\"}\n{\"msg\":\"before\"}\npanic: no\x1b[2J\n\ngoroutine 9 [running]:\nmain.fail()\n\ngoroutine 10 [select]:\n",
		InFlight: &exits.InFlight{Requests: 12, InDoubt: 4, Unlisted: 2, UnlistedUnsafe: 1, Routes: []exits.Route{
			{Method: "POST", Host: "a", Path: "/order", Requests: 4, InDoubt: 4, Oldest: 3},
			{Method: "GET", Host: "a", Path: "/", Requests: 6, Oldest: 1},
		}},
	}
	const crashed = `END        crash, code 2
AT         2030-01-02 03:04:05, 1m ago
FAULT      panic: no?[2J
PROCESS    7, active, generation 3, lived 24s
MEMORY     64 MiB, at most 70 MiB
IN FLIGHT  12 requests, 4 of them in doubt, 2 not listed (1 of these may have been executed)
           4 × POST a/order, oldest 3s, 4 in doubt
           6 × GET a/, oldest 1s

goroutine 9 [running]:
main.fail()

Its last lines:
{"msg":"before"}
`
	for _, c := range []struct {
		name string
		last broker.LastExit
		want string
	}{
		{"crash", broker.LastExit{Exit: crash}, crashed},
		{
			"a stop after it",
			broker.LastExit{Exit: &exits.Exit{Code: 137, Signal: "SIGKILL", Reason: "stop", At: at, Pid: 8, Role: "active", Generation: 4}, LastFailure: crash},
			`END        stop, SIGKILL
AT         2030-01-02 03:04:05, 1m ago
PROCESS    8, active, generation 4, lived 0s
IN FLIGHT  nothing

The last crash:

` + crashed,
		},
		{
			"a hang",
			broker.LastExit{Exit: &exits.Exit{
				Code: 134, Signal: "SIGABRT", Reason: "hang", At: at, Pid: 8, Role: "active", Generation: 4, Error: "no heartbeat for 15s",
				Fault: "SIGABRT: abort", Goroutine: "goroutine 0 [idle]:", Stderr: "before\nSIGABRT: abort\n\ngoroutine 0 [idle]:\n",
			}},
			`END        hang, ended by the broker
AT         2030-01-02 03:04:05, 1m ago
ERROR      no heartbeat for 15s
DUMP       it was made to write what its goroutines did; --json has it
PROCESS    8, active, generation 4, lived 0s
IN FLIGHT  nothing

goroutine 0 [idle]:

Its last lines:
before
`,
		},
		{
			"a spawn that failed",
			broker.LastExit{Exit: &exits.Exit{
				Code: 127, Reason: "spawn", At: at, Role: "starting", Generation: 1, Error: "no such file", PeakMemory: 3 << 20,
				InFlight: &exits.InFlight{Unknown: "another version"},
			}},
			`END        spawn, code 127
AT         2030-01-02 03:04:05, 1m ago
ERROR      no such file
PROCESS    none, starting, generation 1, lived 0s
MEMORY     at most 3 MiB
IN FLIGHT  not known: another version
`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := json.Marshal(c.last)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			if err := writeLastExit(&got, body, at.Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			if got.String() != c.want {
				t.Errorf("it is\n%s\nwant\n%s", &got, c.want)
			}
		})
	}
	if err := writeLastExit(new(strings.Builder), []byte("{}"), at); err == nil {
		t.Error("an answer without an exit is shown")
	}
}
