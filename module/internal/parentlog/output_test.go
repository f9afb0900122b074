// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package parentlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// said is what an output made entries of.
func said(logs *observer.ObservedLogs) (all []string) {
	for _, e := range logs.TakeAll() {
		fields := e.ContextMap()
		text, _ := fields["text"].(string)
		if text == "" {
			text = fmt.Sprintf("%v, lost %v", fields["error"], fields["lost_before"])
		}
		all = append(all, text)
	}
	return all
}

func TestOutput(t *testing.T) {
	const entry = `{"level":"info","msg":"serving"}` + "\n"
	const admin = `{"level":"warn","logger":"admin","msg":"admin endpoint on open interface; host checking disabled","address":"unix//run/1.sock|0600"}` + "\n"
	const stranger = `{"level":"warn","logger":"admin","msg":"admin endpoint on open interface; host checking disabled","address":":2019"}` + "\n"
	const full = "2026-01-02 write error: write access.log: no space left on device\n"
	for _, c := range []struct {
		name    string
		logs    bool
		writes  []string
		through string
		entries []string
	}{
		{"a log is not touched", true, []string{entry[:9], entry[9:] + entry}, entry + entry, nil},
		{"nothing is, where the log is no JSON", false, []string{"panic: x\n", admin}, "panic: x\n" + admin, nil},
		{"plain lines become one entry", true, []string{"panic", ": x\n\ngoroutine 1:\n", entry, "more"}, entry, []string{"panic: x\n\ngoroutine 1:", "more"}},
		{"benign warnings", true, []string{admin, stranger}, stranger, nil},
		{"a full disk", true, []string{full, strings.Repeat(full, 1000), entry}, entry, []string{"write access.log: no space left on device, lost 0"}},
		{"what begins like an entry", true, []string{"{\n", "{}\n"}, "{}\n", []string{"{"}},
		{"very long", true, []string{strings.Repeat("x", maxPlain) + "\n" + "y\n"}, "", []string{strings.Repeat("x", maxPlain)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				core, logs := observer.New(zapcore.DebugLevel)
				var to bytes.Buffer
				o := &Output{child: "default", logs: c.logs, calm: true, to: &to, own: zap.New(core)}
				for _, text := range c.writes {
					if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
						t.Errorf("%d, %v", n, err)
					}
				}
				_ = o.Close()
				if got := said(logs); to.String() != c.through || fmt.Sprint(got) != fmt.Sprint(c.entries) {
					t.Errorf("through %.200q, want %.200q\nentries %.200q, want %.200q", to.String(), c.through, got, c.entries)
				}
			})
		})
	}
}
