// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package parentlog

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

func init() {
	caddy.RegisterModule(new(Encoder))
}

// Format is the name of the encoder in a configuration.
const Format = "broker"

// Encoder leaves out what Caddy's admin endpoint says of each request to it where that is a
// GET of `/broker/` or `/broker/check`: load balancers, containers and those who watch ask
// each second, and their requests change nothing. Requests over the remote admin endpoint
// are written.
type Encoder struct {
	// WrappedRaw is the encoder that writes the rest; by default Caddy's own, which
	// depends on whether it writes to a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	zapcore.Encoder `json:"-"`

	// What the fields say of the request that an entry is about.
	method, uri string
	remote      bool
}

// CaddyModule returns the Caddy module information.
func (*Encoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.encoders." + Format, New: func() caddy.Module { return new(Encoder) }}
}

// Provision loads the encoder that writes.
func (e *Encoder) Provision(ctx caddy.Context) error {
	if e.WrappedRaw == nil {
		e.WrappedRaw = json.RawMessage(`{"format":"append"}`) // which adds nothing, and finds out what is Caddy's own
	}
	value, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("loading log encoder module: %w", err)
	}
	e.Encoder = value.(zapcore.Encoder)
	return nil
}

// ConfigureDefaultFormat lets the encoder that writes choose by what it writes to.
func (e *Encoder) ConfigureDefaultFormat(to caddy.WriterOpener) error {
	if d, ok := e.Encoder.(caddy.ConfiguresFormatterDefault); ok {
		return d.ConfigureDefaultFormat(to)
	}
	return nil
}

// Clone is part of the interface zapcore.Encoder.
func (e *Encoder) Clone() zapcore.Encoder {
	clone := *e
	clone.Encoder = e.Encoder.Clone()
	return &clone
}

// AddString is part of the interface zapcore.ObjectEncoder.
func (e *Encoder) AddString(key, value string) {
	switch key {
	case "method":
		e.method = value
	case "uri":
		e.uri = value
	}
	e.Encoder.AddString(key, value)
}

// AddBool is part of the interface zapcore.ObjectEncoder.
func (e *Encoder) AddBool(key string, value bool) {
	if key == "secure" {
		e.remote = value
	}
	e.Encoder.AddBool(key, value)
}

var none = buffer.NewPool()

// EncodeEntry is part of the interface zapcore.Encoder.
func (e *Encoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	if entry.Level == zapcore.InfoLevel && entry.LoggerName == assumed.AdminRequestLogger && entry.Message == assumed.AdminRequestMessage && e.asks() {
		return none.Get(), nil
	}
	return e.Encoder.EncodeEntry(entry, fields)
}

// asks reports whether the request is one that only asks how the broker is.
func (e *Encoder) asks() bool {
	path, _, _ := strings.Cut(e.uri, "?")
	return e.method == http.MethodGet && !e.remote && (path == "/broker/" || path == "/broker/check")
}

// Interface guards
var (
	_ caddy.Provisioner                = (*Encoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*Encoder)(nil)
	_ zapcore.Encoder                  = (*Encoder)(nil)
)
