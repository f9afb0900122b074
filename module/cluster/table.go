// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/internal/options"
	"github.com/caddy-broker/caddy-broker/module/internal/block"
)

const minNetworkKey = 16

// Table has the options of a network. Values may hold placeholders; what
// they stand for is checked. To add an option, add a field to Network, a row, and
// what it does.
var Table = options.Table[Network]{
	{
		Name: "name", Kind: options.String,
		Default: options.Required, Allowed: "up to 63 letters, digits and any of - _ and the full stop, a letter or a digit first",
		Effect: "This broker's name; the later of two with one name refuses to start.",
		Access: options.Omissible(options.Field(func(n *Network) *string { return &n.Name }, expanded(checkNetworkName))),
	},
	{
		Name: "advertise", Kind: options.List, Repeat: true,
		Default: options.Required, Allowed: "public addresses such as http://192.0.2.1:80",
		Effect: "Where clients reach this broker; together at most about 500 bytes. Clients of each listener hear of those with its scheme.",
		Access: options.Omissible(options.Entries(func(n *Network) *[]string { return &n.Advertise }, expanded(checkAdvertised))),
	},
	{
		Name: "bind", Kind: options.String,
		Default: defaultNetworkBind, Allowed: "an IP address of this machine and a port, such as 192.0.2.1:7946",
		Effect: "The gossip, over TCP and UDP.",
		Access: options.Omissible(options.Field(func(n *Network) *string { return &n.Bind }, expanded(checkBind))),
	},
	{
		Name: "seeds", Kind: options.List, Repeat: true,
		Default: "none", Allowed: "HOST:PORT of other brokers' gossip",
		Effect: "Others to start with; each is tried again every 5 s for as long as it, or an address of its name, is not a member.",
		Access: options.Omissible(options.Entries(func(n *Network) *[]string { return &n.Seeds }, expanded(checkSeed))),
	},
	{
		Name: "key", Kind: options.String, Secret: true,
		Default: "none", Allowed: "at least " + strconv.Itoa(minNetworkKey) + " characters; `openssl rand -base64 32` makes a good one",
		Effect: "The secret that all brokers of the network share; required unless `bind` is loopback.",
		Access: options.Omissible(options.Field(func(n *Network) *string { return &n.Key }, checkNetworkKey)),
	},
	{
		Name: "update_cluster_clients", Kind: options.Bool,
		Default: "false", Allowed: "true or false",
		Effect: "Clients hear of the other brokers.",
		Access: options.Field(func(n *Network) *bool { return &n.UpdateClusterClients }),
	},
	{
		Name: "update_cluster_clients_on_remove", Kind: options.Bool,
		Default: "false", Allowed: "true or false",
		Effect: "Clients hear also of those that left or died; otherwise these stay in the list until this broker restarts.",
		Access: options.Field(func(n *Network) *bool { return &n.UpdateClusterClientsOnRemove }),
	},
	{
		Name: "rebalance_cluster_clients", Kind: options.Bool,
		Default: "false", Allowed: "true or false",
		Effect: "Clients are asked to spread again when a broker joins.",
		Access: options.Field(func(n *Network) *bool { return &n.RebalanceClusterClients }),
	},
	{
		Name: "update_cluster_filter", Kind: options.List, Repeat: true,
		Default: "all brokers", Allowed: "regular expressions; .* stands for any characters",
		Effect: "Clients hear of brokers whose whole name matches one.",
		Access: options.Omissible(options.Entries(func(n *Network) *[]string { return &n.UpdateClusterFilter }, func(text string) error {
			_, err := wholeMatch(text)
			return err
		})),
	},
}

// UnmarshalCaddyfileBlock reads the block network of the global option broker,
// whose options are those of the table, each on a line of its own.
func (n *Network) UnmarshalCaddyfileBlock(d *caddyfile.Dispenser) error {
	given := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := block.Read(d, Table, n, given, Table.Names()); err != nil {
			return err
		}
	}
	if err := n.Check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// UnmarshalJSON reads the configuration of a network.
func (n *Network) UnmarshalJSON(data []byte) error {
	type plain Network
	return options.Decode(data, (*plain)(n), func(name string) (options.Member, error) {
		if row := Table.Lookup(name); row != nil {
			return row.Member(), nil
		}
		return options.Member{}, options.Unknown("option", name, Table.Names())
	})
}

// expanded checks what stands for the placeholders of a text.
func expanded(check func(string) error) func(string) error {
	return func(text string) error {
		actual := caddy.NewReplacer().ReplaceAll(text, "")
		err := check(actual)
		if err == nil || actual == text {
			return err
		}
		if errors.Is(err, options.ErrRange) {
			return fmt.Errorf("it stands for %s", options.Quote(actual))
		}
		return fmt.Errorf("it stands for %s: %w", options.Quote(actual), err)
	}
}

func checkNetworkName(name string) error {
	if !networkName.MatchString(name) {
		return options.ErrRange
	}
	return nil
}

func checkAdvertised(text string) error {
	u, err := address.ParseURI(text)
	if err == nil && (u.Scheme == address.SchemeUnix || u.Options != (address.URIOptions{})) {
		err = errors.New("it is not scheme, host and port that clients can reach")
	}
	return err
}

func checkBind(bind string) error {
	_, err := parseBind(bind)
	return err
}

// parseBind reads the address of the gossip.
func parseBind(bind string) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		return netip.AddrPort{}, errors.New("it is not HOST:PORT")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%s is not an IP address", options.Quote(host))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, fmt.Errorf("port %s is not a number from 1 to 65535", options.Quote(port))
	}
	return netip.AddrPortFrom(ip, uint16(n)), nil
}

func checkSeed(seed string) error {
	if _, _, err := net.SplitHostPort(seed); err != nil {
		return options.ErrRange
	}
	return nil
}

// checkNetworkKey says nothing of the key but its length.
func checkNetworkKey(key string) error {
	if n := len(caddy.NewReplacer().ReplaceAll(key, "")); n > 0 && n < minNetworkKey {
		return fmt.Errorf("it has %d characters", n)
	}
	return nil
}

// wholeMatch compiles a filter of names.
func wholeMatch(text string) (*regexp.Regexp, error) {
	return regexp.Compile("^(?:" + text + ")$")
}
