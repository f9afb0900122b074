// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
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
	var root any
	if json.Unmarshal(config, &root) != nil {
		return false
	}
	var find func(v any, listen bool) bool
	find = func(v any, listen bool) bool {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if find(inner, strings.EqualFold(key, "listen")) {
					return true
				}
			}
		case []any:
			for _, inner := range v {
				if find(inner, listen) {
					return true
				}
			}
		case string:
			network, rest, _ := strings.Cut(v, "/")
			named, _, _ := strings.Cut(rest, "|")
			return listen && strings.EqualFold(strings.TrimSpace(network), "unix") && named == path
		}
		return false
	}
	return find(root, false)
}
