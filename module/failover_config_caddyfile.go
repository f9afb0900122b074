// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"
	"math"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// caddyfileParsers read the units of a Caddyfile.
var caddyfileParsers = address.Parsers{
	Duration: caddy.ParseDuration,
	Size: func(s string) (int64, error) {
		n, err := humanize.ParseBytes(s)
		if err == nil && n > math.MaxInt64 {
			err = errors.New("too many bytes")
		}
		return int64(n), err
	},
}

// unmarshalBlock reads the block of the policy and checks that its options agree.
func (c *PolicyConfig) unmarshalBlock(d *caddyfile.Dispenser) error {
	if err := c.UnmarshalCaddyfileBlock(d); err != nil {
		return err
	}
	return c.CheckCaddyfile(d)
}

// CheckCaddyfile checks that the options agree; the error tells where d is.
func (c *PolicyConfig) CheckCaddyfile(d *caddyfile.Dispenser) error {
	if _, _, err := c.options(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// UnmarshalCaddyfileBlock adds the options of a block to c; an option that c has
// already is an error. Syntax:
//
//	failover {
//	    initial_reconnect_delay        <duration>
//	    max_reconnect_delay            <duration>
//	    use_exponential_backoff        [true|false]
//	    reconnect_delay_exponent       <number>
//	    reconnect_jitter               <share>
//	    max_reconnect_attempts         <count>|-1
//	    startup_max_reconnect_attempts <count>|-1
//	    randomize                      [true|false]
//	    priority_backup                [true|false]
//	    priority_uris                  <addresses...>
//	    failback_delay                 <duration>
//	    backup                         [true|false]
//	    backup_pool_size               <count>
//	    timeout                        <duration>|-1
//	    max_waiting                    <count>
//	    track_messages                 [true|false]
//	    max_cache_size                 <size>
//	    update_uris_supported          [true|false]
//	    update_uris_url                <url|path>
//	    update_uris_allow              <rules...>
//	    discovery                      mdns <service>
//	    rebalance_update_uris          [true|false]
//	    reconnect_supported            [true|false]
//	    warn_after_reconnect_attempts  <count>
//	    affinity                       client_ip|cookie <name>|header <name>|request|pool
//	    ping                           <method> <uri>
//	    pool                           <name>
//	    nested {
//	        <options as for an address>
//	    }
//	    address <host:port> {
//	        max_requests            <count>
//	        connection_timeout      <duration>
//	        so_timeout              <duration>
//	        max_inactivity_duration <duration>
//	    }
//	}
func (c *PolicyConfig) UnmarshalCaddyfileBlock(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "nested":
			if c.Nested == nil {
				c.Nested = new(AddressConfig)
			}
			err = c.Nested.unmarshalBlock(d)
		case "address":
			err = c.unmarshalAddress(d)
		default:
			err = unmarshalOption(d, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *PolicyConfig) unmarshalAddress(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("address: expecting HOST:PORT and a block")
	}
	u, err := address.ParseDial(d.Val())
	if err != nil {
		return d.WrapErr(err)
	}
	if c.AddressOptions == nil {
		c.AddressOptions = make(map[string]*AddressConfig)
	}
	if c.AddressOptions[u.Dial()] == nil {
		c.AddressOptions[u.Dial()] = new(AddressConfig)
	}
	return c.AddressOptions[u.Dial()].unmarshalBlock(d)
}

func (c *AddressConfig) unmarshalBlock(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected %q: expecting a block", d.Val())
	}
	empty := true
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		empty = false
		if err := unmarshalOption(d, c); err != nil {
			return err
		}
	}
	if empty {
		return d.Err("the block has no options: allowed are max_requests, connection_timeout, so_timeout and max_inactivity_duration")
	}
	return nil
}

// unmarshalOption reads one line and sets the option in config.
func unmarshalOption(d *caddyfile.Dispenser, config any) error {
	name := d.Val()
	opt, err := address.LookupOption(scopeOf(config), name)
	if err != nil {
		return d.WrapErr(err)
	}
	if isGiven(config, name) {
		return d.Errf("option %s is already given, here or in the failover address: remove one", name)
	}
	v, err := optionValue(d, &opt)
	if err == nil {
		if opt.Scope == address.ScopePool {
			err = opt.Set(new(address.Options), v)
		} else {
			err = opt.SetAddress(new(address.URIOptions), v)
		}
	}
	if err != nil {
		return d.Errf("option %s: %w", name, err)
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("option %s takes no block", name)
	}
	setOption(config, name, v)
	return nil
}

// optionValue reads the arguments of an option.
func optionValue(d *caddyfile.Dispenser, opt *address.Option) (any, error) {
	args := d.RemainingArgs()
	switch {
	case opt.Kind == address.KindBool && len(args) == 0:
		return true, nil
	case len(args) == 0:
		return nil, errors.New("it has no value; expecting " + opt.Allowed)
	case opt.Kind == address.KindList:
		return args, nil
	case opt.Kind == address.KindWords:
		return opt.Parse(strings.Join(args, " "), caddyfileParsers)
	case len(args) > 1:
		return nil, errors.New("it has several values; expecting " + opt.Allowed)
	}
	return opt.Parse(args[0], caddyfileParsers)
}
