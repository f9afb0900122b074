// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

func init() {
	for ours := range networks {
		caddy.RegisterNetwork(ours, listen)
	}
	caddyhttp.RegisterNetworkHTTP3("broker", "brokerudp")
	caddyhttp.RegisterNetworkHTTP3("broker4", "brokerudp4")
	caddyhttp.RegisterNetworkHTTP3("broker6", "brokerudp6")
	caddyhttp.RegisterNetworkHTTP3("brokerudp", "brokerudp")
	caddyhttp.RegisterNetworkHTTP3("brokerudp4", "brokerudp4")
	caddyhttp.RegisterNetworkHTTP3("brokerudp6", "brokerudp6")
	caddyhttp.RegisterNetworkHTTP3("fdgrambroker", "fdgrambroker")
}

// networks are our listener networks and what they stand for. A child listens on
// them instead of the system's own, and gets each socket from its parent. The
// names for unix sockets and descriptors must begin as Caddy's do, because Caddy
// parses their addresses by that.
var networks = map[string]string{
	"broker":       "tcp",
	"broker4":      "tcp4",
	"broker6":      "tcp6",
	"brokerudp":    "udp",
	"brokerudp4":   "udp4",
	"brokerudp6":   "udp6",
	"unixbroker":   "unix",
	"fdbroker":     "fd",
	"fdgrambroker": "fdgram",
}

// datagram reports whether a network of the system's has packets, not connections.
func datagram(network string) bool { return strings.HasPrefix(network, "udp") || network == "fdgram" }

// defaultUnixPerm is what Caddy gives a unix socket without permission bits.
const defaultUnixPerm fs.FileMode = 0o200

// listen is the [caddy.ListenerFunc] of our networks.
func listen(ctx context.Context, network, host, portRange string, portOffset uint, cfg net.ListenConfig) (any, error) {
	rt := runtime.Load()
	if rt == nil {
		return nil, fmt.Errorf("network %q exists in a supervised child only: run `caddy broker run --ha`", network)
	}
	real := networks[network]
	address, perm, err := socketAddress(real, host, portRange, portOffset)
	if err != nil {
		return nil, err
	}
	if !control.PassesSockets {
		return rt.openOwn(ctx, real, address, cfg)
	}
	asked := real
	if real == "fdgram" { // to the parent a descriptor is a descriptor
		asked = "fd"
	}
	return rt.lent(real, address, cfg, func() (*os.File, error) { return rt.link.Listen(asked, address, perm) })
}

// lent makes what ask gets from the parent what Caddy expects of a network.
func (rt *childRuntime) lent(real, address string, cfg net.ListenConfig, ask func() (*os.File, error)) (any, error) {
	name := real + "/" + address
	if datagram(real) {
		take := func() (net.PacketConn, error) { return takeSocket[net.PacketConn](ask, name, net.FilePacketConn) }
		if inherited(real) {
			pc, err := take()
			if err != nil {
				return nil, err
			}
			return rt.newPacketConn(pc, name), nil
		}
		return rt.bound(rt.unboundPacketConn(addressOf(real, address), name, take))
	}
	take := func() (systemListener, error) { return takeSocket[systemListener](ask, name, net.FileListener) }
	if inherited(real) {
		ln, err := take()
		if err != nil {
			return nil, err
		}
		return rt.newListener(ln, cfg), nil
	}
	return rt.bound(rt.unboundListener(addressOf(real, address), take, cfg))
}

// inherited reports whether the sockets of a network are those that the parent was started
// with. It never closes them, so that nobody gains anything if a process gives them back.
func inherited(network string) bool { return network == "fd" || network == "fdgram" }

// addressOf is the address of what has no socket yet, as Caddy reads it.
func addressOf(network, address string) net.Addr {
	host, port, err := net.SplitHostPort(address)
	n, errPort := strconv.ParseUint(port, 10, 16)
	ip := net.ParseIP(host)
	switch {
	case network == "unix":
		return &net.UnixAddr{Net: network, Name: address}
	case err != nil || errPort != nil || ip == nil && host != "":
		return place{network, address}
	case datagram(network):
		return &net.UDPAddr{IP: ip, Port: int(n)}
	default:
		return &net.TCPAddr{IP: ip, Port: int(n)}
	}
}

// place is an address with the name of a host.
type place struct{ network, address string }

func (p place) Network() string { return p.network }
func (p place) String() string  { return p.address }

// takeSocket makes a socket of what ask gets.
func takeSocket[S, From any](ask func() (*os.File, error), name string, from func(*os.File) (From, error)) (s S, err error) {
	file, err := ask()
	if err != nil {
		return s, err
	}
	defer file.Close()
	of, err := from(file)
	if err != nil {
		return s, fmt.Errorf("taking over socket %s: %w", name, err)
	}
	s, ok := any(of).(S)
	if !ok {
		return s, fmt.Errorf("taking over socket %s: %T is none that can be used", name, of)
	}
	return s, nil
}

// openOwn opens a socket that the parent cannot lend: it is gone with this process.
func (rt *childRuntime) openOwn(ctx context.Context, real, address string, cfg net.ListenConfig) (any, error) {
	if datagram(real) {
		pc, err := cfg.ListenPacket(ctx, real, address)
		if err != nil {
			return nil, err
		}
		return rt.newPacketConn(pc, real+"/"+address), nil
	}
	ln, err := cfg.Listen(ctx, real, address)
	if err != nil {
		return nil, err
	}
	return rt.newListener(ln, cfg), nil
}

// socketAddress turns what Caddy gives a listener function into an address.
func socketAddress(network, host, portRange string, portOffset uint) (string, fs.FileMode, error) {
	switch network {
	case "unix":
		path, bits, found := strings.Cut(host, "|")
		if !found {
			return path, defaultUnixPerm, nil
		}
		mode, err := strconv.ParseUint(bits, 8, 32)
		if err != nil {
			return "", 0, fmt.Errorf("parsing permission bits %q of %s: not an octal number", bits, path)
		}
		return path, fs.FileMode(mode), nil
	case "fd", "fdgram":
		return host, 0, nil
	}
	first, _, _ := strings.Cut(portRange, "-")
	port := uint64(0)
	if first != "" {
		var err error
		if port, err = strconv.ParseUint(first, 10, 16); err != nil {
			return "", 0, fmt.Errorf("parsing port %q: %w", portRange, err)
		}
	}
	return net.JoinHostPort(host, strconv.FormatUint(port+uint64(portOffset), 10)), 0, nil
}
