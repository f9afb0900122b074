// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// Sites answer in a child what they answer in a process of their own, whatever
// their handlers do to the request.
func TestSitesInAChildAnswerTheSame(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth" {
			w.Header().Set("X-User", r.Header.Get("X-Forwarded-Method")+" "+r.Header.Get("X-Forwarded-Uri"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s%s", r.Method, r.Host, r.RequestURI, r.Header.Get("X-User"), body)
	}))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	page := `{{.Req.Method}} {{.Req.URL}} {{.OriginalReq.Method}} {{.OriginalReq.URL}} {{placeholder "http.request.body"}}`
	if err := os.WriteFile(filepath.Join(dir, "page.html"), []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer("BACKEND", backend.Listener.Addr().String(), "DEAD", proxytest.DeadAddress(t), "DIR", dir)
	for _, c := range []struct {
		name, routes string
		want         string
		chunked      string // instead of want, where a body without a length makes a difference
	}{
		{
			name:   "body",
			routes: `respond "{http.request.body}"`,
			want:   "200 the secret",
		},
		{
			name:   "body, twice",
			routes: `respond "{http.request.body} {http.request.body_base64}"`,
			want:   "200 the secret dGhlIHNlY3JldA==",
		},
		{
			name:   "body, within a limit",
			routes: "request_body {\n max_size 100\n}\nrespond {http.request.body}",
			want:   "200 the secret",
		},
		{
			name:    "body, beyond a limit",
			routes:  "request_body {\n max_size 5\n}\nrespond {http.request.body}",
			want:    "413 ",
			chunked: "200 request body: http: request body too large",
		},
		{
			name:   "body, beyond a limit, proxied",
			routes: "request_body {\n max_size 5\n}\nreverse_proxy BACKEND",
			want:   "413 ",
		},
		{
			name:   "body, beyond a limit, read by a matcher and proxied",
			routes: "request_body {\n max_size 5\n}\n@m vars_regexp {http.request.body} secret\nrespond @m 403\nreverse_proxy BACKEND",
			want:   "413 ",
		},
		{
			name:   "another body",
			routes: "request_body {\n set other\n}\nrespond {http.request.body}",
			want:   "200 other",
		},
		{
			name:   "another body, proxied",
			routes: "request_body {\n set other\n}\nreverse_proxy BACKEND",
			want:   "200 POST www.site.example /old?q=1 other",
		},
		{
			name:   "body read by a matcher",
			routes: "@m vars_regexp {http.request.body} secret\nrespond @m 403",
			want:   "403 ",
		},
		{
			name:   "body read by a matcher, proxied",
			routes: "@m vars_regexp {http.request.body} none\nrespond @m 403\nreverse_proxy BACKEND",
			want:   "200 POST www.site.example /old?q=1 the secret",
		},
		{
			name:   "body read by a header, proxied",
			routes: "request_header X-User {http.request.body}\nreverse_proxy BACKEND",
			want:   "200 POST www.site.example /old?q=1 the secretthe secret",
		},
		{
			name:   "method",
			routes: "method PUT\nrespond \"{method} {http.request.orig_method}\"",
			want:   "200 PUT POST",
		},
		{
			name:   "method, to the backend",
			routes: "method PUT\nreverse_proxy BACKEND {\n header_up X-User {method}\n}",
			want:   "200 PUT www.site.example /old?q=1 PUTthe secret",
		},
		{
			name:   "host",
			routes: "request_header Host other.example\nrespond \"{host} {http.request.hostport} {http.request.host.labels.1}\"",
			want:   "200 other.example other.example other",
		},
		{
			name:   "uri",
			routes: "rewrite /new?x=2\nrespond \"{uri} {path} {query} {http.request.orig_uri}\"",
			want:   "200 /new?x=2 /new x=2 /old?q=1",
		},
		{
			name:   "stripped path",
			routes: "uri strip_prefix /old\nrespond \"{uri} {path} {http.request.orig_uri.path}\"",
			want:   "200 /?q=1 / /old",
		},
		{
			name:   "vars",
			routes: "route {\n method PUT\n vars v {method}\n rewrite /new\n vars w {uri}\n respond \"{vars.v} {vars.w}\"\n}",
			want:   "200 PUT /new?q=1",
		},
		{
			name:   "map",
			routes: "route {\n method PUT\n map {method} {out} {\n PUT changed\n default same\n }\n respond {out}\n}",
			want:   "200 changed",
		},
		{
			name:   "matcher after a rewrite",
			routes: "route {\n rewrite /new\n @new expression {path} == \"/new\"\n respond @new yes\n respond no\n}",
			want:   "200 yes",
		},
		{
			name:   "header of the answer",
			routes: "route {\n method PUT\n header X-Seen \"{method} {http.request.body}\"\n respond ok\n}",
			want:   "200 ok seen PUT the secret",
		},
		{
			name:   "intercept",
			routes: "method PUT\nintercept {\n @no status 418\n handle_response @no {\n respond \"{method} {http.intercept.status_code}\"\n }\n}\nrespond 418",
			want:   "200 PUT 418",
		},
		{
			name:   "answer of a backend",
			routes: "method PUT\nreverse_proxy BACKEND {\n @ok status 200\n handle_response @ok {\n respond \"{method} {http.reverse_proxy.status_code}\"\n }\n}",
			want:   "200 PUT 200",
		},
		{
			name:   "forward_auth",
			routes: "method PUT\nforward_auth BACKEND {\n uri /auth\n copy_headers X-User\n}\nreverse_proxy BACKEND",
			want:   "200 PUT www.site.example /old?q=1 PUT /old?q=1the secret",
		},
		{
			name:   "forward_auth of a body that was read",
			routes: "route {\n vars b {http.request.body}\n forward_auth BACKEND {\n uri /auth\n copy_headers X-User\n }\n reverse_proxy BACKEND\n}",
			want:   "200 POST www.site.example /old?q=1 POST /old?q=1the secret",
		},
		{
			name:   "templates",
			routes: "method GET\nroot DIR\nrewrite /page.html\ntemplates\nfile_server",
			want:   "200 GET /page.html?q=1 POST /old?q=1 the secret",
		},
		{
			name:   "error route",
			routes: "method PUT\nrequest_header Host other.example\nrewrite /new\nerror 500\nhandle_errors {\n respond \"{method} {host} {uri} {err.status_code}\"\n}",
			want:   "500 POST other.example /old?q=1 500",
		},
		{
			name:   "error route with the body",
			routes: "route {\n vars b {http.request.body}\n error 500\n}\nhandle_errors {\n respond \"{http.request.body}\"\n}",
			want:   "500 the secret",
		},
		{
			name:   "error route to a backend",
			routes: "request_body {\n set other\n}\nmethod PUT\nerror 500\nhandle_errors {\n reverse_proxy BACKEND\n}",
			want:   "200 POST www.site.example /old?q=1 other",
		},
		{
			name:    "error route beyond a limit",
			routes:  "request_body {\n max_size 5\n}\nerror 500\nhandle_errors {\n reverse_proxy BACKEND\n}",
			want:    "413 ",
			chunked: "500 ",
		},
		{
			name:   "error route of a dead backend",
			routes: "reverse_proxy DEAD\nhandle_errors {\n reverse_proxy BACKEND\n}",
			want:   "200 POST www.site.example /old?q=1 the secret",
		},
		{
			name:   "error in an error route",
			routes: "error 500\nhandle_errors {\n method PUT\n error \"{method}\" 418\n}",
			want:   "500 ",
		},
		{
			name:   "access log",
			routes: "log {\n output file {log}\n}\nmethod PUT\nrewrite /new\nlog_append extra {uri}\nrespond ok",
			want:   "200 ok logged {Request:{Method:POST Host:www.site.example URI:/old?q=1} Read:0 Size:2 Status:200 Extra:/new?q=1}",
		},
		{
			name:   "access log of a body",
			routes: "log {\n output file {log}\n}\nlog_append extra {http.request.body}\nrespond ok",
			want:   "200 ok logged {Request:{Method:POST Host:www.site.example URI:/old?q=1} Read:10 Size:2 Status:200 Extra:the secret}",
		},
		{
			name:   "access log of a proxy",
			routes: "log {\n output file {log}\n}\nmethod PUT\nlog_append extra {method}\nreverse_proxy BACKEND",
			want:   "200 PUT www.site.example /old?q=1 the secret logged {Request:{Method:POST Host:www.site.example URI:/old?q=1} Read:10 Size:40 Status:200 Extra:PUT}",
		},
		{
			name:   "access log of an error route",
			routes: "log {\n output file {log}\n}\nrequest_header Host other.example\nerror 500\nhandle_errors {\n log_append extra {host}\n respond oops\n}",
			want:   "500 oops logged {Request:{Method:POST Host:www.site.example URI:/old?q=1} Read:0 Size:4 Status:500 Extra:other.example}",
		},
	} {
		owner := t
		t.Run(c.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				alone := newSite(t, owner, false, names.Replace(c.routes)).ask(t, chunked)
				child := newSite(t, owner, true, names.Replace(c.routes)).ask(t, chunked)
				if child != alone {
					t.Errorf("chunked %v: in a child %q, alone %q", chunked, child, alone)
				}
				want := c.want
				if chunked && c.chunked != "" {
					want = c.chunked
				}
				if alone != want {
					t.Errorf("chunked %v: answered %q, want %q", chunked, alone, want)
				}
			}
		})
	}
}
