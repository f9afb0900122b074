// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// failingRecords is a server of records that may fail.
type failingRecords struct {
	records map[string][]dnsmessage.ResourceBody
	away    atomic.Bool
}

func (s *failingRecords) answer(q dnsmessage.Question) ([]dnsmessage.ResourceBody, dnsmessage.RCode) {
	if s.away.Load() {
		return nil, dnsmessage.RCodeServerFailure
	}
	return s.records[q.Name.String()], dnsmessage.RCodeSuccess
}

// TestLastListHolds: a name server that fails takes away no backend that serves,
// for as long as it fails, and none that has no list comes in.
func TestLastListHolds(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	_, port, _ := net.SplitHostPort(b.addr())
	local := []dnsmessage.ResourceBody{&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}
	for name, source := range map[string]func(resolver map[string]any, host string) map[string]any{
		"a": func(resolver map[string]any, host string) map[string]any {
			return map[string]any{"source": "a", "name": host, "port": port, "refresh": 1, "versions": map[string]any{"ipv4": true}, "resolver": resolver}
		},
		"srv": func(resolver map[string]any, host string) map[string]any {
			return map[string]any{"source": "srv", "service": "http", "proto": "tcp", "name": host, "refresh": 1, "resolver": resolver}
		},
	} {
		for _, wrap := range []string{"", "multi"} {
			t.Run(name+" "+wrap, func(t *testing.T) {
				host := fmt.Sprintf("%s%s%s.test", name, wrap, port)
				s := &failingRecords{records: map[string][]dnsmessage.ResourceBody{
					host + ".": local, "backend.test.": local,
					"_http._tcp." + host + ".": {&dnsmessage.SRVResource{Priority: 1, Port: portOf(t, b.addr()), Target: dnsmessage.MustNewName("backend.test.")}},
				}}
				resolver := map[string]any{"addresses": []string{serveRecords(t, s.answer)}}
				config := source(resolver, host)
				if wrap != "" {
					config = map[string]any{"source": wrap, "sources": []any{config}}
				}
				records := map[string]any{"addresses": []string{newRecordServer(t, map[string][]dnsmessage.ResourceBody{"backend.test.": local})}}
				p := newProxy(t, dynamic(config), set("timeout", "1s"), with("transport", map[string]any{"protocol": "http", "resolver": records}))
				if a := p.do("GET", ""); a.status != 200 {
					t.Fatalf("got %+v", a)
				}
				s.away.Store(true)
				for range 3 {
					if a := p.do("GET", ""); a.status != 200 {
						t.Errorf("while the name server fails: got %+v", a)
					}
				}
				s.away.Store(false)
				if a := p.do("GET", ""); a.status != 200 {
					t.Errorf("when it answers again: got %+v", a)
				}
			})
		}
	}
}

// TestPartOfMultiHolds: where one of several sources fails, its backends stay, and
// what the others have goes on changing.
func TestPartOfMultiHolds(t *testing.T) {
	names := make(map[string]string) // of backends, by their ports
	record := func(name string) []dnsmessage.ResourceBody {
		port := portOf(t, newBackendServer(t, name, nil).addr())
		names[strconv.Itoa(int(port))] = name
		return []dnsmessage.ResourceBody{&dnsmessage.SRVResource{Priority: 1, Port: port, Target: dnsmessage.MustNewName("backend.test.")}}
	}
	one, two, three := record("one"), record("two"), record("three")
	var failing, changed atomic.Bool
	part := func(number int, answer func() ([]dnsmessage.ResourceBody, dnsmessage.RCode)) map[string]any {
		resolver := serveRecords(t, func(dnsmessage.Question) ([]dnsmessage.ResourceBody, dnsmessage.RCode) { return answer() })
		return map[string]any{ // Caddy's cache of lookups goes by name
			"source": "srv", "name": fmt.Sprintf("part%d.%s.test", number, strings.NewReplacer("/", ".", ":", ".").Replace(resolver)), "refresh": 1,
			"resolver": map[string]any{"addresses": []string{resolver}},
		}
	}
	p := newProxy(t, dynamic(map[string]any{"source": "multi", "sources": []any{
		part(1, func() ([]dnsmessage.ResourceBody, dnsmessage.RCode) {
			if changed.Load() {
				return three, dnsmessage.RCodeSuccess
			}
			return one, dnsmessage.RCodeSuccess
		}),
		part(2, func() ([]dnsmessage.ResourceBody, dnsmessage.RCode) {
			if failing.Load() {
				return nil, dnsmessage.RCodeServerFailure
			}
			return two, dnsmessage.RCodeSuccess
		}),
	}}))
	want := func(step, wanted string) {
		t.Helper()
		ups, err := p.handler.DynamicUpstreams.GetUpstreams(prepared(httptest.NewRequest("GET", "http://x/", nil), "192.0.2.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, up := range ups {
			_, port, _ := net.SplitHostPort(up.Dial)
			got = append(got, names[port])
		}
		if all := strings.Join(got, " "); all != wanted {
			t.Errorf("%s: found %q, want %q", step, all, wanted)
		}
	}
	want("both answer", "one two")
	failing.Store(true)
	want("the second fails", "one two")
	changed.Store(true)
	want("the first changes", "three two")
	failing.Store(false)
	want("both answer again", "three two")
}

// TestLastListIsOfWhatWasAsked: where a request says what is looked up, one that asks
// for something else gets nothing of it.
func TestLastListIsOfWhatWasAsked(t *testing.T) {
	b := newBackendServer(t, "b", nil)
	_, port, _ := net.SplitHostPort(b.addr())
	s := &failingRecords{records: map[string][]dnsmessage.ResourceBody{
		"mine" + port + ".test.": {&dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}},
	}}
	p := newProxy(t, set("timeout", "50ms"), dynamic(map[string]any{
		"source": "a", "name": "{http.request.header.X-Tenant}" + port + ".test", "port": port, "refresh": 1,
		"versions": map[string]any{"ipv4": true}, "resolver": map[string]any{"addresses": []string{serveRecords(t, s.answer)}},
	}))
	if a := p.do("GET", "", "X-Tenant", "mine"); a.status != http.StatusOK {
		t.Fatalf("got %+v", a)
	}
	s.away.Store(true)
	if a := p.do("GET", "", "X-Tenant", "mine"); a.status != http.StatusOK {
		t.Errorf("got %+v, want the last list", a)
	}
	if a := p.do("GET", "", "X-Tenant", "other"); a.status != http.StatusServiceUnavailable {
		t.Errorf("another tenant: got %+v", a)
	}
	if n := b.count.Load(); n != 2 {
		t.Errorf("the backend got %d requests", n)
	}
}

// TestAsksOf: what a source depends on is known of Caddy's own alone.
func TestAsksOf(t *testing.T) {
	for source, want := range map[string]struct {
		asks  string
		known bool
	}{
		`{"source":"a","name":"app.test","port":"80"}`:                {"", true},
		`{"source":"a","name":"{http.request.host}","port":"{port}"}`: {"{http.request.host}\n{port}", true},
		`{"source":"srv","service":"h","proto":"{p}","name":"x"}`:     {"{p}", true},
		`{"source":"another","name":"x"}`:                             {"", false},
		`nonsense`:                                                    {"", false},
	} {
		if asks, known := asksOf(json.RawMessage(source)); asks != want.asks || known != want.known {
			t.Errorf("%s: got %q, %t", source, asks, known)
		}
	}
}
