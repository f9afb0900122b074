// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// bodiesFile has the policy, and what Caddy does by itself.
const bodiesFile = `{
	admin {$ADMIN}
}
http://:{$PORT_OURS} {
	reverse_proxy {$B1} {
		lb_policy failover
	}
}
http://:{$PORT_STOCK} {
	reverse_proxy {$B1}
}
`

// What is left of a request's body that was not read is never taken for requests,
// whatever was answered, and by what.
func TestUnreadBodiesAreNoRequests(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, adapter, site string
		tries               int
		ours                bool
	}{
		{"policy alone", "caddyfile", "OURS", 20, true},
		{"supervised, policy", "broker", "OURS", 20, true},
		{"supervised, other handlers", "broker", "STOCK", 20, true},
		{"stock", "caddyfile", "STOCK", 3, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			backends, env := newBackends(t)
			start(t, backends[0])
			ports := map[string]string{"OURS": freePort(t), "STOCK": freePort(t)}
			broker := newBroker(t, bodiesFile, append(env, "PORT_OURS="+ports["OURS"], "PORT_STOCK="+ports["STOCK"])...)
			broker.Args = []string{"run", "--config", "{}", "--adapter", tc.adapter}
			if err := broker.Start(); err != nil {
				t.Fatal(err)
			}
			addr := "127.0.0.1:" + ports[tc.site]
			awaitGood(t, addr)
			answers := map[string]int{}
			for i := range tc.tries {
				for _, path := range []string{"early=413", "early=401", "close"} {
					answers[smuggle(t, addr, path, fmt.Sprintf("%s-%d", path, i))]++
				}
			}
			smuggled := 0
			for id := range executions(t, backends[:1]) {
				if strings.HasPrefix(id, "inside") {
					smuggled++
				}
			}
			t.Logf("answers %v; %d of %d were read as requests", answers, smuggled, 3*tc.tries)
			if tc.ours && smuggled > 0 {
				t.Errorf("%d bodies were read as requests", smuggled)
			}
			if tc.ours && (answers["413"] != tc.tries || answers["401"] != tc.tries || answers["502"] != tc.tries) {
				t.Error("the answers are not those of the backend")
			}
		})
	}
}

// smuggle sends an upload that looks like requests where it goes on after the answer,
// and returns the answer's status.
func smuggle(t *testing.T, addr, path, name string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	// The first part is more than is held back on the way, all of it more than a server
	// reads of what it does not want.
	const length, first = 512 << 10, 40 << 10
	begin := fmt.Sprintf("POST /?%s HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n", path, name, length)
	inside := fmt.Sprintf("GET /inside HTTP/1.1\r\nHost: x\r\nX-Request-Id: inside-%s\r\n\r\n", name)
	rest := strings.Repeat(inside, (length-first)/len(inside))
	begin += strings.Repeat("x", first)
	rest += strings.Repeat("x", length-first-len(rest))
	early := strings.HasPrefix(path, "early")
	if !early {
		begin, rest = begin+rest, "" // without an answer it is read on for one
	}
	if _, err := io.WriteString(c, begin); err != nil && early {
		return "not sent"
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return err.Error()
	}
	_ = res.Body.Close()
	// The connection may be closed by now, which is what is wanted.
	if _, err := io.WriteString(c, rest); err == nil {
		_, _ = http.ReadResponse(r, nil)
	}
	return fmt.Sprint(res.StatusCode)
}
