// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package block reads options from the lines of a Caddyfile block, as the tables of
// package options describe them.
package block

import (
	"errors"
	"math"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// Units are those of a Caddyfile.
var Units = options.Units{
	Duration: caddy.ParseDuration,
	Size: func(s string) (int64, error) {
		n, err := humanize.ParseBytes(s)
		if err == nil && n > math.MaxInt64 {
			err = errors.New("too many bytes")
		}
		return int64(n), err
	},
	DurationText: options.DurationText,
	SizeText:     options.SizeText,
}

// Line sets the option whose name is at d's cursor to what the line says, and
// returns the value. The caller sees to options that are given twice.
func Line[S any](d *caddyfile.Dispenser, row *options.Row[S], s *S) (any, error) {
	v, err := row.ReadArgs(s, d.RemainingArgs(), Units)
	if err != nil {
		return nil, d.Errf("option %s: %w", row.Name, err)
	}
	if d.NextBlock(d.Nesting()) {
		return nil, d.Errf("option %s takes no block", row.Name)
	}
	return v, nil
}

// Given notes which options a block has had.
type Given map[string]bool

// Once refuses an option that was given before, and notes it. An option that
// repeats may be given any number of times.
func (g Given) Once(d *caddyfile.Dispenser, name string, repeat bool) error {
	if g[name] && !repeat {
		return d.Errf("option %s is already given: remove one", name)
	}
	g[name] = true
	return nil
}

// Read reads the option at d's cursor into s, where known are all names that the
// block has.
func Read[S any](d *caddyfile.Dispenser, table options.Table[S], s *S, given Given, known []string) error {
	row := table.Lookup(d.Val())
	if row == nil {
		return d.WrapErr(options.Unknown("option", d.Val(), known))
	}
	if err := given.Once(d, row.Name, row.Repeat); err != nil {
		return err
	}
	_, err := Line(d, row, s)
	return err
}
