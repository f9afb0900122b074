// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/module/internal/block"
)

// Table has the options of a probe. To add one, add a field to Probe, a row, and what it
// does in Send.
var Table = options.Table[Probe]{
	{
		Name: "expect", Kind: options.List, Repeat: true,
		Default: "2xx 3xx", Allowed: "statuses from 200 to 599, or classes from 2xx to 5xx",
		Effect: "The statuses that are right. Redirects are not followed.",
		Access: options.Omissible(options.Entries(func(p *Probe) *[]string { return &p.Expect }, checkStatus)),
	},
	{
		Name: "header", Kind: options.Pairs, Repeat: true,
		Default: "none", Allowed: "the name of a header field and its value, in which * at either end stands for anything",
		Effect: "What the answer's header must have.",
		Access: pairs(func(p *Probe) *map[string]string { return &p.Header }),
	},
	{
		Name: "body_contains", Kind: options.String,
		Default: "none", Allowed: "a text",
		Effect: "What the first MiB of the answer's body must contain.",
		Access: options.Omissible(options.Field(func(p *Probe) *string { return &p.BodyContains }, checkText)),
	},
	{
		Name: "request_header", Kind: options.Pairs, Repeat: true, Secret: true,
		Default: "none", Allowed: "the name of a header field and its value",
		Effect: "A header field to send.",
		Access: pairs(func(p *Probe) *map[string]string { return &p.RequestHeader }),
	},
	{
		Name: "timeout", Kind: options.Duration,
		Default: "5s", Allowed: "a duration, above 0 and at most " + options.DurationString(MaxTimeout),
		Effect: "What the whole exchange may take.",
		Access: options.OptionalDuration(func(p *Probe) **caddy.Duration { return &p.Timeout }, options.Within(time.Nanosecond, MaxTimeout)),
	},
	{
		Name: "unsafe", Kind: options.Bool,
		Default: "false", Allowed: "true or false",
		Effect: "Allows a method that may change something, such as POST: it is sent once at each reload, and not again during `probation`.",
		Access: options.Omissible(options.Field(func(p *Probe) *bool { return &p.Unsafe })),
	},
}

func checkStatus(text string) error {
	if class, ok := strings.CutSuffix(text, "xx"); ok && len(class) == 1 && class >= "2" && class <= "5" {
		return nil
	}
	if n, err := strconv.Atoi(text); err != nil || n < 200 || n > 599 || len(text) != 3 {
		return options.ErrRange
	}
	return nil
}

func checkText(text string) error {
	if text == "" || len(text) > maxBody {
		return options.ErrRange
	}
	return nil
}

// pairs is the access to header fields.
func pairs(at func(*Probe) *map[string]string) options.Access[Probe] {
	return options.Omissible(options.Field(at, func(m map[string]string) error {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(m[name]) {
				return fmt.Errorf("%s is no header field", options.Quote(name+": "+m[name]))
			}
		}
		return nil
	}))
}

// UnmarshalJSON reads a probe.
func (p *Probe) UnmarshalJSON(data []byte) error {
	type plain Probe
	return options.Decode(data, (*plain)(p), func(name string) (options.Member, error) {
		switch row := Table.Lookup(name); {
		case row != nil:
			return row.Member(), nil
		case name == "method", name == "url", name == "at":
			return options.Member{Expecting: "a text"}, nil
		}
		return options.Member{}, options.Unknown("option", name, append([]string{"method", "url"}, Table.Names()...))
	})
}

// Unmarshal reads a probe at whose name d's cursor is:
//
//	probe <method> <url> {
//		expect         <status>...
//		header         <name> <value>
//		body_contains  <text>
//		request_header <name> <value>
//		timeout        <duration>
//		unsafe
//	}
func Unmarshal(d *caddyfile.Dispenser) (Probe, error) {
	p := Probe{At: d.File() + ":" + strconv.Itoa(d.Line())}
	args := d.RemainingArgs()
	if len(args) != 2 {
		return p, d.WrapErr(errors.New("a probe has a method and an address: probe GET https://example.com/health"))
	}
	p.Method, p.URL = args[0], args[1]
	given := make(block.Given)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := block.Read(d, Table, &p, given, Table.Names()); err != nil {
			return p, err
		}
	}
	return p, p.place(p.check())
}
