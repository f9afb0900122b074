// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// FuzzListen: an address to listen on is refused, or read in a way that reads as
// the same when it is written again. A configuration that listens on it lends that
// unix socket, and no other path.
func FuzzListen(f *testing.F) {
	for _, s := range []string{
		":80", "tcp/127.0.0.1:080", "udp6/[::1%lo]:443", "tcp/:http", "tcp/:80-90", "fd/03", "fd/65536", "unixgram//run/x.sock", "",
		"unix//run/x.sock", "unix//run/x.sock|0660", "unix//run/x|1000", "unix/@x|", "unix/|0600", "UNIX//run/x.sock", " unix //run/x",
	} {
		f.Add(s, "/run/x.sock")
	}
	f.Fuzz(func(t *testing.T, address, asked string) {
		network, rest, perm, err := splitListen(address)
		if err == nil {
			checkSplit(t, network, rest, fmt.Sprintf("%o", perm))
		}
		if !utf8.ValidString(address + asked) {
			return // no configuration has them
		}
		before, after, _ := strings.Cut(address, "/")
		named := strings.EqualFold(strings.TrimSpace(before), "unix") && (after == asked || strings.HasPrefix(after, asked+"|"))
		lent := func(key, path string) bool {
			const other = -1 // no user that this process runs as
			return sockets.Allow(other, listening(t, key, address, asked), "unix", path) == nil
		}
		free := strings.HasPrefix(asked, "@") // no file
		if lent("listen", asked) && !named && !free {
			t.Fatalf("listen %q lends %q", address, asked)
		}
		if lent("listens", asked) && !free {
			t.Fatalf("%q is lent, and nobody listens there", asked)
		}
		if err == nil && network == "unix" && !lent("listen", rest) {
			t.Fatalf("listen %q does not lend %q", address, rest)
		}
	})
}

// listening is a configuration with an address under that key, and a path
// elsewhere.
func listening(t *testing.T, key, address, path string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"servers": map[string]any{key: []string{":80", address}}, "dial": "unix/" + path})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// checkSplit checks what was read as an address to listen on.
func checkSplit(t *testing.T, network, rest, perm string) {
	t.Helper()
	address := network + "/" + rest
	switch network {
	case "unix":
		if rest == "" || strings.Contains(rest, "|") {
			t.Fatalf("socket path %q", rest)
		}
		address += "|" + perm
	case "fd":
	default:
		_, port, err := net.SplitHostPort(rest)
		if n, numErr := strconv.Atoi(port); err != nil || numErr != nil || n < 0 || n > 65535 {
			t.Fatalf("%s has port %q", address, port)
		}
	}
	n, r, p, err := splitListen(address)
	if n != network || r != rest || err != nil || network == "unix" && fmt.Sprintf("%o", p) != perm || p > 0o777 {
		t.Fatalf("%s reads as %q, %q, %o, %v", address, n, r, p, err)
	}
}
