// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/caddyconfig" // serves /load

	"github.com/caddy-broker/caddy-broker/module/document"
)

// anything is an app whose configuration may be anything.
type anything struct{}

func (anything) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "parity_anything", New: func() caddy.Module { return new(anything) }}
}
func (*anything) UnmarshalJSON([]byte) error { return nil }
func (*anything) Start() error               { return nil }
func (*anything) Stop() error                { return nil }

// revealing tells which server serves it: so a test gets hold of Caddy's own handler,
// which no name leads to.
type revealing struct{}

func (revealing) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.parity_revealing", New: func() caddy.Module { return new(revealing) }}
}

var revealed = make(chan http.Handler, 1)

func (revealing) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/parity_revealing", Handler: caddy.AdminHandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
			revealed <- server.Handler
		}
		return nil
	})}}
}

func init() {
	caddy.RegisterModule(anything{})
	caddy.RegisterModule(revealing{})
	caddy.RegisterNetwork("parity", func(ctx context.Context, _, _, _ string, _ uint, config net.ListenConfig) (any, error) {
		ln, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err == nil {
			addr := ln.Addr().(*net.TCPAddr)
			parityListens.Store(addr)
		}
		return ln, err
	})
}

// parityListens is where Caddy's endpoint listens: at a port of its own with each load. A
// unix socket, which Caddy's next endpoint shares with the one before, can lock up when
// loads follow each other as fast as here.
var parityListens atomic.Pointer[net.TCPAddr]

// stockEndpoint is the handler of Caddy's own admin endpoint, which acts on the
// configuration of this test's process.
func stockEndpoint(t *testing.T) http.Handler {
	t.Helper()
	dir, err := os.MkdirTemp("", "parity")
	if err != nil {
		t.Fatal(err)
	}
	listen, autosave := caddy.DefaultAdminListen, caddy.ConfigAutosavePath
	caddy.DefaultAdminListen, caddy.ConfigAutosavePath = "parity/:1", filepath.Join(dir, "autosave.json")
	t.Cleanup(func() {
		err := caddy.Load([]byte(`{"admin":{"disabled":true}}`), true) // which ends the endpoint
		if err = errors.Join(err, caddy.Stop()); err != nil {
			t.Error(err)
		}
		caddy.DefaultAdminListen, caddy.ConfigAutosavePath = listen, autosave
		_ = os.RemoveAll(dir)
	})
	if err := caddy.Load([]byte(parityStart), true); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", parityListens.Load().String())
	}}}
	resp, err := client.Get("http://localhost/parity_revealing")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return <-revealed
}

// quiet keeps Caddy from logging each request and load.
const quiet = `"logging":{"logs":{"default":{"level":"FATAL"}}},"admin":{"config":{"persist":false}}`

const parityStart = `{` + quiet + `,"apps":{"parity_anything":{"a":[1,2,{"@id":"one"}],"b":{"c":null,"d":[]}}}}`

// ours is the endpoint of a process that supervises, without any: what is loaded serves
// if Caddy's own endpoint has just loaded it too.
type ours struct {
	serves *document.Document
	stock  string // what Caddy's endpoint said of the same load
}

func (o *ours) Current() *document.Document { return o.serves }
func (o *ours) AwaitRoom()                  {}
func (o *ours) Unchanged() error            { return nil }
func (o *ours) Load(_, next *document.Document, _ bool) error {
	if _, text, failed := strings.Cut(o.stock, "loading new config: "); failed {
		return errors.New("loading new config: " + text)
	}
	o.serves = next
	return nil
}

// handler serves requests as Caddy's endpoint would with our routes.
func (o *ours) handler() http.Handler {
	q := document.NewQueue(o)
	api := configAPI{shown: func(context.Context) *document.Document { return o.Current() }, change: q.Do}
	mux := http.NewServeMux()
	server := &http.Server{Handler: mux}
	for _, route := range api.routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handler.ServeHTTP(w, r.WithContext(withServer(r, server))); err != nil {
				answerAsCaddy(w, err)
			}
		})
	}
	return mux
}

// withServer is the context of a request that server has got.
func withServer(r *http.Request, server *http.Server) context.Context {
	return context.WithValue(r.Context(), http.ServerContextKey, server)
}

// answerAsCaddy answers with an error of an admin handler.
func answerAsCaddy(w http.ResponseWriter, err error) {
	e := caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	if apiErr, ok := errors.AsType[caddy.APIError](err); ok {
		e = apiErr
	}
	e.Message = e.Err.Error()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.HTTPStatus)
	_ = json.NewEncoder(w).Encode(e)
}

// arbitrary makes requests.
type arbitrary struct {
	*rand.Rand
	etags []string
	ids   int
}

func (a *arbitrary) one(of ...string) string { return of[a.IntN(len(of))] }

// value is JSON, mostly.
func (a *arbitrary) value(depth int) string {
	if depth > 0 {
		switch a.IntN(5) {
		case 0:
			items := make([]string, a.IntN(4))
			for i := range items {
				items[i] = a.value(depth - 1)
			}
			return "[" + strings.Join(items, ",") + "]"
		case 1, 2:
			members := make([]string, a.IntN(4))
			for i := range members {
				members[i] = fmt.Sprintf("%q:%s", a.one("a", "b", "c", "d", "0", "@@id", "x y"), a.value(depth-1))
			}
			if a.IntN(3) == 0 {
				a.ids++
				members = append(members, `"@id":`+a.one(fmt.Sprintf(`"id%d"`, a.ids), fmt.Sprint(a.ids), `"one"`, "null", "1.5"))
			}
			return "{" + strings.Join(members, ",") + "}"
		}
	}
	return a.one("null", "true", "1", "1e3", "12345678901234567890", `"text"`, `"<&>"`, `"\u00e9"`, "[]", "{}")
}

func (a *arbitrary) path() string {
	if a.IntN(12) == 0 {
		return a.one("/config/", "/config", "/config/...", "/config/apps", "/config/apps/", "/config/logging/logs", "/config/none", "/config/Apps", "/config/apps/none/deep", "/config/storage", "/id/one", "/id/one/x", "/id/", "/id/none", "/id/id7/a")
	}
	parts := []string{"", "config", "apps", "parity_anything"}
	for range a.IntN(5) {
		parts = append(parts, a.one("a", "a", "b", "b", "c", "d", "0", "1", "2", "3", "-1", "01", "x", "..."))
	}
	path := strings.Join(parts, "/") + a.one("", "", "", "/")
	if a.IntN(12) == 0 { // as clients write it that take a path for one name
		path = "/config/" + url.PathEscape(strings.TrimPrefix(path, "/config/"))
	}
	return path
}

// request is one for both endpoints.
func (a *arbitrary) request() func() *http.Request {
	method, path := a.one("GET", "GET", "POST", "POST", "PUT", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"), a.path()
	if isElsewhere(path) {
		method = "GET"
	}
	body := a.value(3)
	if a.IntN(15) == 0 {
		body = a.one("", "{", "[1,", "nonsense", `{"a":1}{`, " ")
	}
	if strings.TrimSuffix(path, "/") == "/config" && method != "GET" { // what Caddy can load
		body = parityStart
	}
	header := http.Header{}
	switch a.IntN(20) {
	case 0:
	case 1:
		header.Set("Content-Type", a.one("text/plain", "application/json; charset=utf-8", "text/json", "json"))
	default:
		header.Set("Content-Type", "application/json")
	}
	if a.IntN(8) == 0 {
		header.Set("Cache-Control", "must-revalidate")
	}
	if a.IntN(6) == 0 {
		header.Set("If-Match", a.one(`"`, `""`, `x`, `"/config/ 1"`, `"/config/apps/none/deep 1"`, `" 1"`, `"/ 1"`))
		if len(a.etags) > 0 && a.IntN(3) > 0 {
			header.Set("If-Match", a.etags[a.IntN(len(a.etags))])
		}
	}
	return func() *http.Request {
		r := httptest.NewRequest(method, "http://localhost"+path, strings.NewReader(body))
		r.Header = header.Clone()
		return r
	}
}

// TestParityWithCaddy: what Caddy's own endpoint answers to a request, ours answers too,
// with the same status, body, ETag and resulting document.
func TestParityWithCaddy(t *testing.T) {
	rounds := 6000
	if testing.Short() {
		rounds = 600
	}
	stock := stockEndpoint(t)
	answered := map[int]int{}
	for _, seed := range []uint64{1, 2, 3} {
		a := &arbitrary{Rand: rand.New(rand.NewPCG(seed, 7))}
		if err := caddy.Load([]byte(parityStart), true); err != nil {
			t.Fatal(err)
		}
		d, err := document.Parse([]byte(parityStart))
		if err != nil {
			t.Fatal(err)
		}
		o := &ours{serves: d}
		handler := o.handler()
		for n := range rounds {
			request := a.request()
			want, got := httptest.NewRecorder(), httptest.NewRecorder()
			stock.ServeHTTP(want, request())
			o.stock = ""
			if want.Code >= 400 {
				var said struct{ Error string }
				_ = json.Unmarshal(want.Body.Bytes(), &said)
				o.stock = said.Error
			}
			handler.ServeHTTP(got, request())
			answered[want.Code]++
			about := func() string {
				r := request()
				return fmt.Sprintf("seed %d, request %d: %s %s %v", seed, n, r.Method, r.URL, r.Header)
			}
			same := want.Code == got.Code && sameText(want.Body.Bytes(), got.Body.Bytes()) && want.Header().Get("Etag") == got.Header().Get("Etag")
			if !same && !isElsewhere(request().URL.Path) {
				t.Fatalf("%s\nCaddy: %d %q %s\nours:  %d %q %s", about(), want.Code, want.Header().Get("Etag"), want.Body, got.Code, got.Header().Get("Etag"), got.Body)
			}
			if etag := want.Header().Get("Etag"); etag != "" {
				a.etags = append(a.etags, etag)
			}
			whole := httptest.NewRecorder()
			stock.ServeHTTP(whole, httptest.NewRequest(http.MethodGet, "http://localhost/config/", nil))
			if have := append(bytes.Clone(o.serves.JSON()), '\n'); !bytes.Equal(whole.Body.Bytes(), have) {
				t.Fatalf("%s\nCaddy has %s\nwe have   %s", about(), whole.Body, have)
			}
		}
	}
	t.Logf("%d requests; by status: %v", 3*rounds, answered)
	for _, status := range []int{200, 400, 404, 405, 409, 412, 500} {
		if answered[status] == 0 {
			t.Errorf("no request was answered with %d, which shows little", status)
		}
	}
}

// isElsewhere reports whether a path of Caddy's endpoint is not among ours.
func isElsewhere(path string) bool { return path == idPrefix || path == "/config" }

// sameText compares bodies; of several faults in ids any may be found first.
func sameText(a, b []byte) bool {
	indexing := []byte(`{"error":"indexing config: `)
	return bytes.Equal(a, b) || bytes.HasPrefix(a, indexing) && bytes.HasPrefix(b, indexing)
}
