// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap/zapcore"
)

func init() { caddy.RegisterModule(new(spyCore)) }

// spyCore is a core of a log that notes what it gets.
type spyCore struct {
	Level zapcore.Level `json:"level,omitempty"`

	seen   *spied
	fields []zapcore.Field
}

type spied struct {
	sync.Mutex
	derived int // cores with a request among their fields
	lines   []spiedLine
}

type spiedLine struct {
	message string
	fields  []string
}

// spy is what the last core that was loaded has noted.
var spy *spied

func (*spyCore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.cores.assumed", New: func() caddy.Module {
		spy = new(spied)
		return &spyCore{seen: spy}
	}}
}

func isRequest(f zapcore.Field) bool { return f.Key == "request" }

func (c *spyCore) Enabled(l zapcore.Level) bool { return l >= c.Level }

func (c *spyCore) With(fields []zapcore.Field) zapcore.Core {
	c.seen.Lock()
	defer c.seen.Unlock()
	if slices.ContainsFunc(fields, isRequest) {
		c.seen.derived++
	}
	return &spyCore{c.Level, c.seen, slices.Concat(c.fields, fields)}
}

func (c *spyCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(e.Level) {
		return ce
	}
	return ce.AddCore(e, c)
}

func (c *spyCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.seen.Lock()
	defer c.seen.Unlock()
	line := spiedLine{message: e.Message}
	for _, f := range slices.Concat(c.fields, fields) {
		line.fields = append(line.fields, f.Key)
	}
	c.seen.lines = append(c.seen.lines, line)
	return nil
}

func (c *spyCore) Sync() error { return nil }

// TestRoundTripsAreEncodedForNothing: reverse_proxy has a logger by this name, and encodes
// every request for it whether it logs something or not. Put off, a line about it is the same.
// A Caddy that puts it off by itself fails this test: PutOffLog can go then.
func TestRoundTripsAreEncodedForNothing(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer backend.Close()
	var usual []string
	for _, tc := range []struct {
		name    string
		level   zapcore.Level
		putOff  bool
		derived int
		logged  bool
	}{
		{"not logged", zapcore.InfoLevel, false, 1, false},
		{"not logged, put off", zapcore.InfoLevel, true, 0, false},
		{"logged", zapcore.DebugLevel, false, 1, true},
		{"logged, put off", zapcore.DebugLevel, true, 1, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			core, err := json.Marshal(map[string]any{"module": "assumed", "level": tc.level})
			if err != nil {
				t.Fatal(err)
			}
			log := caddy.BaseLog{Level: "PANIC", CoreRaw: core}
			mod, err := newLoggingContext(t, log).LoadModuleByID("http.handlers.reverse_proxy",
				json.RawMessage(`{"upstreams": [{"dial": "`+backend.Listener.Addr().String()+`"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			seen, h := spy, mod.(*reverseproxy.Handler)
			if tc.putOff && !PutOffLog(h) {
				t.Fatal("the handler has no logger of that name and type")
			}
			if _, err := run(h, http.MethodGet, nil); err != nil {
				t.Fatal(err)
			}
			seen.Lock()
			defer seen.Unlock()
			if seen.derived != tc.derived {
				t.Errorf("the request was encoded %d times, want %d", seen.derived, tc.derived)
			}
			i := slices.IndexFunc(seen.lines, func(l spiedLine) bool { return l.message == "upstream roundtrip" })
			if (i >= 0) != tc.logged {
				t.Fatalf("logged are %v", seen.lines)
			}
			if i < 0 {
				return
			}
			if usual == nil {
				usual = seen.lines[i].fields
			}
			if got := seen.lines[i].fields; !slices.Equal(got, usual) || !slices.Contains(got, "request") {
				t.Errorf("the line has %v, want %v", got, usual)
			}
		})
	}

	if PutOffLog(new(reverseproxy.Handler)) {
		t.Error("a handler that is not provisioned has a logger")
	}
}
