// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package parentlog

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
)

// TestWhatIsLeftOut asks the admin endpoint of a Caddy: of each request it writes one entry,
// but for those that only ask how the broker is, and what it writes is as with the encoder alone.
func TestWhatIsLeftOut(t *testing.T) {
	dir := t.TempDir()
	for name, encoder := range map[string]string{
		"default": `{"format": "broker"}`,
		"json":    `{"format": "broker", "wrap": {"format": "json", "message_key": "msg"}}`,
		"filter":  `{"format": "broker", "wrap": {"format": "filter", "fields": {"host": {"filter": "delete"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			file, socket := filepath.Join(dir, name+".log"), filepath.Join(dir, name)
			config := fmt.Sprintf(`{"admin": {"listen": %q, "config": {"persist": false}}, "logging": {"logs": {"default":
				{"writer": {"output": "file", "filename": %q}, "encoder": %s}}}}`, "unix/"+socket, file, encoder)
			if err := caddy.Load([]byte(config), true); err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}}}
			for _, r := range []string{
				"GET /broker/", "GET /broker/?watch", "GET /broker/check", "GET /broker/check?pool=p", // left out
				"POST /broker/check", "GET /broker/checks", "GET /broker/pools", "GET /config/", "DELETE /broker/",
			} {
				method, path, _ := strings.Cut(r, " ")
				req, err := http.NewRequestWithContext(t.Context(), method, "http://admin"+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				res, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
			}
			client.CloseIdleConnections()
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Join(requests(t, file), ", "), "POST /broker/check, GET /broker/checks, GET /broker/pools, GET /config/, DELETE /broker/"; got != want {
				t.Errorf("the log has %s; want %s", got, want)
			}
		})
	}
}

// requests are those of which a log has an entry; every line is one of the log.
func requests(t *testing.T, file string) (list []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var entry struct{ Level, Logger, Msg, Method, URI string }
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			t.Errorf("%q: %v", lines.Text(), err)
		}
		if entry.Msg == "received request" {
			list = append(list, entry.Method+" "+entry.URI)
		}
	}
	return list
}
