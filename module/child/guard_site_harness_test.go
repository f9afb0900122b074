// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// site is what a Caddyfile serves, in a child or in a process of its own.
type site struct {
	*httptest.Server
	log     string        // the file that {log} stands for
	handled chan struct{} // gets one for each request whose handler has returned
}

// newSite makes Caddy's HTTP app from routes and serves its only server. In a
// child, the configuration is what a child makes of it. It serves until the test that is
// its owner ends: a connection with an unread body lingers for half a second.
func newSite(t, owner *testing.T, child bool, routes string) *site {
	t.Helper()
	s := &site{log: filepath.Join(t.TempDir(), "access.log"), handled: make(chan struct{}, 10)}
	text := ":80 {\n" + strings.ReplaceAll(routes, "{log}", s.log) + "\n}\n"
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	runtime.Store(nil)
	if child {
		rt := newChildRuntime(nil)
		rt.account = account.New()
		runtime.Store(rt)
		t.Cleanup(func() { runtime.Store(nil) })
		if raw, err = PrepareConfig(raw, ""); err != nil {
			t.Fatal(err)
		}
	}
	cfg := new(caddy.Config)
	if err := json.Unmarshal(raw, cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	cfg.StorageRaw = json.RawMessage(fmt.Sprintf(`{"module": "file_system", "root": %q}`, t.TempDir()))
	if cfg.Logging == nil {
		cfg.Logging = new(caddy.Logging)
	}
	if cfg.Logging.Logs == nil {
		cfg.Logging.Logs = make(map[string]*caddy.CustomLog)
	}
	cfg.Logging.Logs["default"] = &caddy.CustomLog{BaseLog: caddy.BaseLog{Level: proxytest.LogLevel()}}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	server := app.(*caddyhttp.App).Servers["srv0"]
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { s.handled <- struct{}{} }()
		server.ServeHTTP(w, r)
	}))
	owner.Cleanup(s.Close)
	return s
}

// ask sends a body and tells all that the client gets and the access log has.
func (s *site) ask(t *testing.T, chunked bool) string {
	t.Helper()
	var body io.Reader = strings.NewReader("the secret")
	if chunked {
		body = struct{ io.Reader }{body}
	}
	req, err := http.NewRequest(http.MethodPost, s.URL+"/old?q=1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "www.site.example"
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%d %s", res.StatusCode, b)
	if v := res.Header.Get("X-Seen"); v != "" {
		out += " seen " + v
	}
	<-s.handled // and has written its line of the access log
	text, err := os.ReadFile(s.log)
	if err != nil {
		return out
	}
	var entry struct {
		Request struct{ Method, Host, URI string }
		Read    int `json:"bytes_read"`
		Size    int
		Status  int
		Extra   string
	}
	if err := json.Unmarshal(text, &entry); err != nil {
		t.Fatalf("the access log is %q: %v", text, err)
	}
	return out + fmt.Sprintf(" logged %+v", entry)
}
