// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package policyconfig

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/block"
)

// UnmarshalBlock reads the block of the policy and checks that its options agree.
func (c *Config) UnmarshalBlock(d *caddyfile.Dispenser) error {
	if err := c.UnmarshalCaddyfileBlock(d); err != nil {
		return err
	}
	return c.CheckCaddyfile(d)
}

// CheckCaddyfile checks that the options agree; the error tells where d is.
func (c *Config) CheckCaddyfile(d *caddyfile.Dispenser) error {
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
func (c *Config) UnmarshalCaddyfileBlock(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch d.Val() {
		case "nested":
			if c.Nested == nil {
				c.Nested = new(AddressOptions)
			}
			err = c.Nested.unmarshalBlock(d)
		case "address":
			err = c.unmarshalAddress(d)
		default:
			err = unmarshalOption(d, c, "nested", "address")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) unmarshalAddress(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.Err("address: expecting HOST:PORT and a block")
	}
	u, err := address.ParseDial(d.Val())
	if err != nil {
		return d.WrapErr(err)
	}
	if c.AddressOptions == nil {
		c.AddressOptions = make(map[string]*AddressOptions)
	}
	if c.AddressOptions[u.Dial()] == nil {
		c.AddressOptions[u.Dial()] = new(AddressOptions)
	}
	return c.AddressOptions[u.Dial()].unmarshalBlock(d)
}

func (c *AddressOptions) unmarshalBlock(d *caddyfile.Dispenser) error {
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
func unmarshalOption(d *caddyfile.Dispenser, config any, besides ...string) error {
	name := d.Val()
	opt, err := address.LookupOption(scopeOf(config), name, besides...)
	if err != nil {
		return d.WrapErr(err)
	}
	if isGiven(config, name) {
		return d.Errf("option %s is already given, here or in the failover address: remove one", name)
	}
	v, err := block.Line(d, &opt, new(address.Options))
	if err != nil {
		return err
	}
	setOption(config, name, v)
	return nil
}
