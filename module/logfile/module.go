// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"io"
	"os"

	"github.com/DeRuina/timberjack"
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/logging"
)

// Name is the name of the writer, under caddy.logging.writers.
const Name = "broker_file"

func init() {
	caddy.RegisterModule(Module{})
}

// Module is Caddy's writer file with its options, for several processes. A child's
// configuration gets it in place of the user's writers file; it is not meant to be
// written by hand.
type Module struct {
	logging.FileWriter
}

// CaddyModule returns the Caddy module information.
func (Module) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.writers." + Name,
		New: func() caddy.Module { return new(Module) },
	}
}

// OpenWriter opens the file as Caddy does, which creates folders, sets modes and knows
// the defaults, and writes to it as one of several processes.
func (m Module) OpenWriter() (io.WriteCloser, error) {
	theirs, err := m.FileWriter.OpenWriter()
	if err != nil || !Shared {
		return theirs, err
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(m.Filename); err == nil {
		mode = info.Mode().Perm()
	}
	rolling, _ := theirs.(*timberjack.Logger)
	if rolling == nil {
		// The file that Caddy opened was to see that it can be.
		if err := theirs.Close(); err != nil {
			return nil, err
		}
	}
	w := &Writer{path: m.Filename, mode: mode}
	if rolling != nil {
		w.rolls = newRolls(rolling)
	}
	if err := w.open(); err != nil {
		return nil, err
	}
	return w, nil
}

// Interface guards.
var (
	_ caddy.Provisioner  = (*Module)(nil)
	_ caddy.WriterOpener = (*Module)(nil)
)
