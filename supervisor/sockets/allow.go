// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Allow returns why a process that runs as uid with config must not be lent a socket,
// or nil. A process that runs as another user may have been taken over by an attacker
// who wants files where that user cannot make any: of unix sockets it is lent only
// those that its configuration names.
func Allow(uid int, config []byte, network, address string) error {
	if network != "unix" || uid == os.Geteuid() || abstract(address) || listensOn(config, address) {
		return nil
	}
	return fmt.Errorf("listening on unix/%s: with `user`, the path must be in the configuration as it is, without placeholders", address)
}

// abstract reports whether a unix socket's address is not the path of a file.
func abstract(path string) bool {
	return strings.HasPrefix(path, "@") && (runtime.GOOS == "linux" || runtime.GOOS == "android")
}

// listensOn reports whether config has path among the addresses of a "listen".
func listensOn(config []byte, path string) bool {
	for address := range listens(config) {
		network, rest, _ := strings.Cut(address, "/")
		named, _, _ := strings.Cut(rest, "|")
		if strings.EqualFold(strings.TrimSpace(network), "unix") && named == path {
			return true
		}
	}
	return false
}

// MaxSockets is how many sockets a process is lent at least: so many, or as many as its
// configuration names.
const MaxSockets = 1024

// Limit is how many sockets a process with config may use.
func Limit(config []byte) int {
	n := 0
	for address := range listens(config) {
		n += ports(address)
	}
	return max(n, MaxSockets)
}

// ports is how many ports an address names: "host:8000-8009" is ten.
func ports(address string) int {
	first, last, _ := strings.Cut(address[strings.LastIndexByte(address, ':')+1:], "-")
	from, err := strconv.ParseUint(first, 10, 16)
	if to, toErr := strconv.ParseUint(last, 10, 16); err == nil && toErr == nil && to > from {
		return int(to-from) + 1
	}
	return 1
}

// listens are the addresses under every "listen" of config.
func listens(config []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		var root any
		if json.Unmarshal(config, &root) != nil {
			return
		}
		var find func(v any, listen bool) bool
		find = func(v any, listen bool) bool {
			switch v := v.(type) {
			case map[string]any:
				for key, inner := range v {
					if !find(inner, strings.EqualFold(key, "listen")) {
						return false
					}
				}
			case []any:
				for _, inner := range v {
					if !find(inner, listen) {
						return false
					}
				}
			case string:
				return !listen || yield(v)
			}
			return true
		}
		find(root, false)
	}
}
