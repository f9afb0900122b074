// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// mayBorrow returns why p must not be lent a socket, or nil. A process that runs
// as another user may have been taken over by somebody who wants files where that
// user can make none: of unix sockets it gets those that its configuration names.
func (p *process) mayBorrow(network, address string) error {
	if network != "unix" || p.uid == os.Geteuid() || abstract(address) || listensOn(p.spec.Config, address) {
		return nil
	}
	return fmt.Errorf("listening on unix/%s: with `user`, the path must be in the configuration as it is, without placeholders", address)
}

// abstract tells whether a unix socket's address is no file's path.
func abstract(path string) bool {
	return strings.HasPrefix(path, "@") && (runtime.GOOS == "linux" || runtime.GOOS == "android")
}

// listensOn tells whether config has path among the addresses of a "listen".
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
