// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/block"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// badTexts has for each kind what no option of it takes, and badLines lines for
// options whose kind takes any text.
var (
	badTexts = map[options.Kind]string{
		options.Bool: "maybe", options.Int: "1.5", options.Size: "many", options.Float: "1e9", options.Duration: "5000",
	}
	badLines = map[string]string{
		"replace": "later", "gc": "off", "ha_log": `""`, "state_dir": `""`, "probation_errors": "5", "user": "no-such-user-here", "env": "A=B c", "command": "", "listen": "tcp/a:b:c",
		"name": "a/b", "advertise": "ftp://a", "bind": "7946", "seeds": "a", "key": "hush", "update_cluster_filter": "[",
		"priority_uris": "http://a:1/x", "update_uris_url": "ftp://a", "update_uris_allow": "a**b", "discovery": "dns a",
		"affinity": "ip_hash", "ping": "/health", "pool": "a/b",
	}
)

// Every error of a value in a Caddyfile names the option, the value, what is
// allowed, with its unit, and the line.
func TestBadValuesInCaddyfile(t *testing.T) {
	option := func(read func(*caddyfile.Dispenser, map[string]bool) error) func(string) error {
		return func(line string) error {
			d := dispenseLine(t, line)
			return read(d, make(map[string]bool))
		}
	}
	badLinesOf(t, childTable, option(new(App).UnmarshalOption))
	badLinesOf(t, appTable, option(new(App).UnmarshalOption))
	badLinesOf(t, childTable, option(new(Child).UnmarshalOption))
	badLinesOf(t, programTable, option(new(Child).UnmarshalOption))
	badLinesOf(t, cluster.Table, func(line string) error {
		return new(cluster.Network).UnmarshalCaddyfileBlock(dispenseBlock(t, "network {\n"+line+"\n}"))
	})
	var pool, nested options.Table[address.Options]
	for _, row := range address.OptionTable() {
		if row.Scope == address.ScopePool {
			pool = append(pool, row)
		} else {
			nested = append(nested, row)
		}
	}
	badLinesOf(t, pool, func(line string) error {
		return new(policyconfig.Config).UnmarshalBlock(dispenseBlock(t, "failover {\n"+line+"\n}"))
	})
	badLinesOf(t, nested, func(line string) error {
		return new(policyconfig.Config).UnmarshalBlock(dispenseBlock(t, "failover {\nnested {\n"+line+"\n}\n}"))
	})
}

func dispenseBlock(t *testing.T, text string) *caddyfile.Dispenser {
	t.Helper()
	tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	return d
}

// dispenseLine is a line inside a block, with the cursor at its name.
func dispenseLine(t *testing.T, line string) *caddyfile.Dispenser {
	t.Helper()
	d := dispenseBlock(t, "broker {\n"+line+"\n}")
	if !d.NextBlock(0) {
		t.Fatal("there is no block")
	}
	return d
}

func badLinesOf[S any](t *testing.T, table options.Table[S], load func(line string) error) {
	t.Helper()
	for i := range table {
		row := &table[i]
		bad, ok := badTexts[row.Kind]
		if !ok {
			if bad, ok = badLines[row.Name]; !ok {
				t.Errorf("badLines lacks %s", row.Name)
			}
		}
		err := load(row.Name + " " + bad)
		if err == nil {
			t.Errorf("%s %s was taken", row.Name, bad)
			continue
		}
		parts := []string{"option " + row.Name, "expecting " + row.Expecting(block.Units), ", at Caddyfile:"}
		if !row.Secret {
			parts = append(parts, strings.Trim(bad, `"`))
		}
		switch row.Kind {
		case options.Duration:
			parts = append(parts, "a duration such as 500ms, 2s or 1m")
		case options.Size:
			parts = append(parts, "bytes such as 128KiB")
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s %s: got %v, want %q in it", row.Name, bad, err, part)
			}
		}
		if row.Secret && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
