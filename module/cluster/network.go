// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/hashicorp/memberlist"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// Network makes this broker one of a network of brokers, which find each other
// by gossip and tell their clients of each other (handler `broker_uris`). It
// lives in the parent: a child that dies or is replaced changes nothing.
type Network struct {
	// Name is this broker's name in the network: letters, digits and any of `-_.`.
	// Each broker has a name of its own; the later of two with the same name
	// refuses to start.
	Name string `json:"name"`
	// Advertise are the public addresses of this broker, such as
	// `http://192.0.2.1:80`. Clients of each listener hear of those with its scheme.
	Advertise []string `json:"advertise"`
	// Bind is host and port of the gossip, over TCP and UDP. Default:
	// `0.0.0.0:7946`. It needs `key` unless it is a loopback address.
	Bind string `json:"bind,omitempty"`
	// Seeds are other brokers to start with, as host and port; a name stands for
	// all its addresses. They are tried again for as long as they are not members.
	Seeds []string `json:"seeds,omitempty"`
	// Key is the secret that all brokers of the network share; it encrypts the
	// gossip. At least 16 characters, best 32 random bytes in base64.
	Key string `json:"key,omitempty"`
	// UpdateClusterClients tells clients of the other brokers, too. Default: false
	UpdateClusterClients bool `json:"update_cluster_clients,omitempty"`
	// UpdateClusterClientsOnRemove tells clients also of brokers that left or
	// died. Default: false: they stay in the list until this broker restarts.
	UpdateClusterClientsOnRemove bool `json:"update_cluster_clients_on_remove,omitempty"`
	// RebalanceClusterClients asks clients to spread again when a broker joins.
	// Default: false
	RebalanceClusterClients bool `json:"rebalance_cluster_clients,omitempty"`
	// UpdateClusterFilter are regular expressions; clients hear only of brokers
	// whose whole name matches one of them. Default: all brokers
	UpdateClusterFilter []string `json:"update_cluster_filter,omitempty"`

	host   string
	port   int
	key    []byte
	meta   []byte
	filter []*regexp.Regexp
}

const defaultNetworkBind = "0.0.0.0:7946"

var networkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// networkMeta is what brokers tell each other of themselves.
type networkMeta struct {
	Addresses []string `json:"a"`
}

// Provision checks the network and completes it.
func (n *Network) Provision() error {
	if err := Table.Check(n); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	repl := caddy.NewReplacer()
	n.Name = repl.ReplaceAll(n.Name, "")
	var meta networkMeta
	for _, text := range n.Advertise {
		u, err := address.ParseURI(repl.ReplaceAll(text, ""))
		if err != nil {
			return err
		}
		meta.Addresses = append(meta.Addresses, u.Name())
	}
	var err error
	if n.meta, err = json.Marshal(meta); err != nil {
		return err
	}
	if len(n.meta) > memberlist.MetaMaxSize {
		return fmt.Errorf("network: option advertise: %d addresses do not fit into %d bytes: give fewer or shorter ones", len(n.Advertise), memberlist.MetaMaxSize)
	}
	for _, text := range n.UpdateClusterFilter {
		re, err := wholeMatch(text)
		if err != nil {
			return err
		}
		n.filter = append(n.filter, re)
	}
	for i, seed := range n.Seeds {
		n.Seeds[i] = repl.ReplaceAll(seed, "")
	}
	return n.provisionGossip(repl)
}

func (n *Network) provisionGossip(repl *caddy.Replacer) error {
	bind := repl.ReplaceAll(n.Bind, "")
	if bind == "" {
		bind = defaultNetworkBind
	}
	at, err := parseBind(bind)
	if err != nil {
		return err
	}
	n.host, n.port = at.Addr().String(), int(at.Port())
	key := repl.ReplaceAll(n.Key, "")
	switch {
	case key == "" && !at.Addr().IsLoopback():
		return fmt.Errorf("network: option key is missing: brokers talk unencrypted only on loopback, and bind is %s; expecting %s", bind, Table.Lookup("key").Allowed)
	case key != "":
		sum := sha256.Sum256([]byte(key))
		n.key = sum[:]
	}
	return nil
}

// tells reports whether clients hear of the broker of that name.
func (n *Network) tells(name string) bool {
	if len(n.filter) == 0 {
		return true
	}
	for _, re := range n.filter {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

// readMeta reads what another broker says of itself. memberlist bounds what this one says,
// not what it hears.
func readMeta(said []byte) (meta networkMeta, err error) {
	if len(said) > memberlist.MetaMaxSize {
		return meta, fmt.Errorf("it has %d bytes, the limit is %d", len(said), memberlist.MetaMaxSize)
	}
	err = json.Unmarshal(said, &meta)
	return meta, err
}

// addresses are those that a broker told of itself; ones that cannot be read are
// left out.
func (m networkMeta) addresses() (list []string) {
	for _, text := range m.Addresses {
		if u, err := address.ParseURI(text); err == nil && u.Scheme != address.SchemeUnix && !strings.Contains(text, "?") {
			list = append(list, u.Name())
		}
	}
	return list
}

// Check reports whether the network can be started, as far as the configuration
// alone says. Where a value comes from a placeholder, it is what that is now.
func (n *Network) Check() error {
	c := *n
	c.Seeds = append([]string(nil), n.Seeds...)
	return c.Provision()
}
