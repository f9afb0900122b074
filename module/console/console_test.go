// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// hostile is what strangers may say.
const hostile = `<script>alert("x")</script><img src=x onerror=alert(1)>"'&`

// fakeAPI answers like the admin API, and notes what it was asked to do.
type fakeAPI struct {
	overview overview.Overview
	doubts   []indoubt.Record
	asked    []string
	refuse   string
	hold     chan struct{}
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPost:
		f.asked = append(f.asked, r.URL.RequestURI())
		if f.hold != nil {
			<-f.hold
		}
		if f.refuse != "" {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": f.refuse})
		}
	case r.URL.Path == "/broker/in-doubt":
		_ = json.NewEncoder(w).Encode(f.doubts)
	default:
		_ = json.NewEncoder(w).Encode(f.overview)
	}
}

func newFake(t *testing.T) *fakeAPI {
	t.Helper()
	now := time.Now()
	f := &fakeAPI{overview: overview.Overview{
		Children: []*supervisor.Status{{
			Name: "default", State: "active", Since: now,
			Processes: []supervisor.ProcessStatus{{Pid: 1, State: "active"}, {Pid: 2, State: "standby"}},
		}},
		Pools: []report.PoolStatus{{Name: "unix//run/a b.sock", State: "connected", Upstreams: []report.UpstreamStatus{
			{URI: "http://a:1", State: "up", Since: now, Requests: 2}, {URI: "http://b:1", State: "down", Since: now, LastError: hostile},
		}}},
	}}
	Register(f)
	t.Cleanup(func() { api.Store(nil) })
	return f
}

func ask(h Handler, method, target string, form url.Values, fields map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range fields {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var (
	styleIn  = regexp.MustCompile(`(?s)<style>(.*)</style>`)
	scriptIn = regexp.MustCompile(`(?s)<script>(.*)</script>`)
)

// What strangers say is text, and the policy of the page is about what is on it.
func TestPageIsEscaped(t *testing.T) {
	f := newFake(t)
	f.doubts = []indoubt.Record{{Method: "POST", Path: hostile, RequestID: hostile, Backend: hostile, Pool: hostile, Reason: hostile, Host: hostile}}
	f.overview.Children[0].Name = hostile
	f.overview.Pools[0].Name = hostile
	w := ask(Handler{Events: "events"}, http.MethodGet, "/broker/console", nil, nil)
	page := w.Body.String()
	if w.Code != http.StatusOK || strings.Count(page, "<script") != 1 || strings.Contains(page, "<img") {
		t.Fatalf("%d: %s", w.Code, page)
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, part := range []*regexp.Regexp{styleIn, scriptIn} {
		text := part.FindStringSubmatch(page)
		if text == nil || !strings.Contains(csp, hashOf(text[1])) {
			t.Errorf("the policy %s does not allow what %s finds", csp, part)
		}
	}
	for _, forbidden := range []string{" style=", " onclick=", "javascript:", "http-equiv=\"Content"} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %q, which its policy forbids", forbidden)
		}
	}
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %s", csp)
	}
}

// Every button leads to a question that says what is cut, and then to the API.
func TestOperations(t *testing.T) {
	const pool = "unix//run/a b.sock"
	for name, c := range map[string]struct {
		target target
		path   string
	}{
		"stop":      {target{Child: "default"}, "/broker/children/default/stop?mode=immediate"},
		"force":     {target{Child: "default"}, "/broker/children/default/stop?mode=force"},
		"start":     {target{Child: "default"}, "/broker/children/default/start"},
		"restart":   {target{Child: "default"}, "/broker/children/default/restart"},
		"promote":   {target{Child: "default"}, "/broker/children/default/promote"},
		"reload":    {target{Child: "default"}, "/broker/children/default/reload"},
		"drain":     {target{Pool: pool, URI: "http://a:1"}, "/broker/drain?by=ops+%28console%29&uri=http%3A%2F%2Fa%3A1"},
		"resume":    {target{Pool: pool, URI: "http://a:1"}, "/broker/resume?by=ops+%28console%29&uri=http%3A%2F%2Fa%3A1"},
		"failover":  {target{Pool: pool, URI: "http://b:1"}, "/broker/pools/unix%2F%2Frun%2Fa%20b.sock/failover?to=http%3A%2F%2Fb%3A1"},
		"next":      {target{Pool: pool}, "/broker/pools/unix%2F%2Frun%2Fa%20b.sock/failover"},
		"failback":  {target{Pool: pool}, "/broker/pools/unix%2F%2Frun%2Fa%20b.sock/failback"},
		"rebalance": {target{Pool: pool}, "/broker/pools/unix%2F%2Frun%2Fa%20b.sock/rebalance"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			form := url.Values{"op": {name}, "child": {c.target.Child}, "pool": {c.target.Pool}, "uri": {c.target.URI}}
			h := Handler{User: "ops"}
			w := ask(h, http.MethodGet, "/c?"+form.Encode(), nil, nil)
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "What it does") || len(f.asked) != 0 {
				t.Fatalf("the question: %d %s", w.Code, w.Body)
			}
			if w = ask(h, http.MethodPost, "/c", form, nil); w.Code != http.StatusSeeOther || len(f.asked) != 1 || f.asked[0] != c.path {
				t.Fatalf("%d, and the API was asked for %q, want %s", w.Code, f.asked, c.path)
			}
			if to := w.Header().Get("Location"); to != "?done="+name {
				t.Errorf("it leads to %q", to)
			}
			f.refuse = "not <now>"
			if w = ask(h, http.MethodPost, "/c", form, nil); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "not &lt;now&gt;") {
				t.Errorf("what the API refuses: %d %s", w.Code, w.Body)
			}
		})
	}
	if len(operations) != 12 {
		t.Errorf("there are %d operations: this test has 12", len(operations))
	}
}

func TestRefused(t *testing.T) {
	force := url.Values{"op": {"force"}, "child": {"default"}}
	for name, c := range map[string]struct {
		h      Handler
		method string
		form   url.Values
		fields map[string]string
		status int
	}{
		"another site":           {Handler{}, http.MethodPost, force, map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"another origin":         {Handler{}, http.MethodPost, force, map[string]string{"Origin": "http://evil.test"}, http.StatusForbidden},
		"null":                   {Handler{}, http.MethodPost, force, map[string]string{"Origin": "null"}, http.StatusForbidden},
		"read only":              {Handler{ReadOnly: true}, http.MethodPost, force, nil, http.StatusForbidden},
		"nothing":                {Handler{}, http.MethodPost, nil, nil, http.StatusNotFound},
		"an unknown operation":   {Handler{}, http.MethodPost, url.Values{"op": {"explode"}, "child": {"default"}}, nil, http.StatusNotFound},
		"an unknown child":       {Handler{}, http.MethodPost, url.Values{"op": {"stop"}, "child": {"../upgrade"}}, nil, http.StatusNotFound},
		"an unknown address":     {Handler{}, http.MethodPost, url.Values{"op": {"drain"}, "pool": {"unix//run/a b.sock"}, "uri": {"http://c:1"}}, nil, http.StatusNotFound},
		"a child for an address": {Handler{}, http.MethodPost, url.Values{"op": {"drain"}, "child": {"default"}, "uri": {"http://c:1"}}, nil, http.StatusNotFound},
		"another method":         {Handler{}, http.MethodDelete, nil, nil, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			w := ask(c.h, c.method, "/c", c.form, c.fields)
			if w.Code != c.status || len(f.asked) != 0 {
				t.Errorf("%d, and the API was asked for %q", w.Code, f.asked)
			}
		})
	}
}

func TestReadOnlyHasNoButtons(t *testing.T) {
	newFake(t)
	for _, readOnly := range []bool{false, true} {
		page := ask(Handler{ReadOnly: readOnly}, http.MethodGet, "/c", nil, nil).Body.String()
		if buttons := strings.Count(page, `class="button`); (buttons == 0) != readOnly {
			t.Errorf("read only is %v, and there are %d buttons", readOnly, buttons)
		}
	}
	if page := ask(Handler{ReadOnly: true}, http.MethodGet, "/c?op=stop&child=default", nil, nil).Body.String(); strings.Contains(page, "<form") {
		t.Error("a console that is read only asks whether to stop")
	}
}

// What takes long is not waited for, and goes on.
func TestLongOperationGoesOn(t *testing.T) {
	f := newFake(t)
	f.hold = make(chan struct{})
	w := ask(Handler{}, http.MethodPost, "/c", url.Values{"op": {"stop"}, "child": {"default"}}, nil)
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "?done=stop&going" {
		t.Errorf("%d, it leads to %q", w.Code, to)
	}
	close(f.hold)
	if page := ask(Handler{}, http.MethodGet, "/c?done=stop&going", nil, nil).Body.String(); !strings.Contains(page, "The child is asked to stop. It is under way.") {
		t.Error("the page does not say that it is under way")
	}
}

func TestWordsOfEvents(t *testing.T) {
	for _, c := range []struct {
		data        map[string]any
		level, text string
	}{
		{map[string]any{"summary": "child default crashed", "severity": "error", "child": "default"}, "error", "child default crashed"},
		{map[string]any{"summary": "a\nb", "severity": "<b>"}, "info", "a b"},
		{map[string]any{"b": 2, "a": "x", "severity": "warn"}, "warn", "some event: a x, b 2"},
	} {
		got := tell(history.Event{Name: "some_event", Data: c.data})
		if got.Level != c.level || got.Text != c.text {
			t.Errorf("%v: %s %q, want %s %q", c.data, got.Level, got.Text, c.level, c.text)
		}
	}
}

func TestCharts(t *testing.T) {
	points := make([]history.Point, history.Slots)
	points[history.Slots-1] = history.Point{Known: true, Requests: 30, Answers: 30, Seconds: 3}
	values := gather(points, func(p history.Point) float64 { return float64(p.Requests) })
	c := draw("Requests", "requests", values, perMin)
	if c.Now != "30/min" || c.Peak != "30/min" || !strings.Contains(c.Label, "at most 30/min") || strings.Count(c.Line, ",") != 2 {
		t.Errorf("%+v", c)
	}
	values = append(values, -1, -1)
	if c = draw("Requests", "requests", values, perMin); c.Now != "–" || c.Peak != "30/min" || !strings.Contains(c.Label, "now is not known") {
		t.Errorf("of what was two minutes ago: %+v", c)
	}
	if c = draw("Requests", "requests", gather(make([]history.Point, history.Slots), nil), perMin); c.Line != "" || c.Now != "–" {
		t.Errorf("of nothing: %+v", c)
	}
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 1: "1", 9.99: "9.99", 10: "10", 12.34: "12.3", 99.96: "100", 1234.5: "1235"} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %q, want %q", v, got, want)
		}
	}
}
