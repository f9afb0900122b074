// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Command leaky is Caddy with this plugin and a handler that leaks: for tests of what
// becomes of a process whose memory grows.
package main

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/dustin/go-humanize"

	_ "github.com/caddy-broker/caddy-broker"
)

func main() {
	caddy.RegisterModule(Leak{})
	httpcaddyfile.RegisterHandlerDirective("leak", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		l := new(Leak)
		return l, l.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("leak", httpcaddyfile.Before, "respond")
	caddycmd.Main()
}

// Leak is a handler that keeps so many bytes for each request, for ever.
type Leak struct {
	Bytes uint64 `json:"bytes"`
}

var kept struct {
	sync.Mutex
	all [][]byte
}

// CaddyModule returns the Caddy module information.
func (Leak) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.leak", New: func() caddy.Module { return new(Leak) }}
}

// UnmarshalCaddyfile reads "leak SIZE".
func (l *Leak) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	if !d.NextArg() {
		return d.ArgErr()
	}
	if l.Bytes, err = humanize.ParseBytes(d.Val()); err != nil {
		return fmt.Errorf("leak %s: %w", d.Val(), err)
	}
	return nil
}

func (l *Leak) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	more := make([]byte, l.Bytes)
	for i := 0; i < len(more); i += 512 {
		more[i] = 1 // so that the system has to find it
	}
	kept.Lock()
	kept.all = append(kept.all, more)
	kept.Unlock()
	return next.ServeHTTP(w, r)
}
