// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// This file joins Caddy's own integration tests. It changes what they load on
// its way to the admin endpoint, and shows them what they loaded when they ask
// for it: no line of the tests, or of their harness, is different from stock.

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	smallstepacme "github.com/smallstep/certificates/acme"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddytest"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddy-broker/caddy-broker"
)

var (
	supervised = os.Getenv("CADDYTEST_SUPERVISED") != ""
	policy     = os.Getenv("CADDYTEST_POLICY")
)

// patience is how long a process may take until it serves.
const patience = 5 * time.Minute

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		// A child of the broker in this process: it has all modules of the tests,
		// and the one variable that they set in their own process.
		smallstepacme.InsecurePortHTTP01 = acmeChallengePort
		os.Args[0] = "caddy"
		caddycmd.Main()
		return
	}
	http.DefaultTransport = &through{next: http.DefaultTransport}
	if supervised {
		// A load starts a process and waits until it serves. How fast this machine
		// does that is not what is tested.
		caddytest.Default.LoadRequestTimeout = patience
	}
	os.Exit(m.Run())
}

// through is between the harness and the admin endpoint. The harness uses the
// default transport for that endpoint only.
type through struct {
	next http.RoundTripper

	mu     sync.Mutex
	given  []byte // what the test loaded last, as JSON
	loaded []byte // what became of it
}

// RoundTrip changes a load, and the question for the running configuration.
func (t *through) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.URL.Port() != fmt.Sprint(caddytest.Default.AdminPort):
		return t.next.RoundTrip(r)
	case r.Method == http.MethodPost && r.URL.Path == "/load":
		return t.load(r)
	case r.Method == http.MethodGet && r.URL.Path == "/config/":
		return t.config(r)
	default:
		return t.next.RoundTrip(r)
	}
}

func (t *through) load(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	given, loaded, err := change(body, strings.TrimPrefix(r.Header.Get("Content-Type"), "text/"))
	if err != nil {
		// Stock says what is wrong with it.
		given, loaded = nil, body
	} else {
		r = r.Clone(r.Context())
		r.Header.Set("Content-Type", "application/json")
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(loaded)), int64(len(loaded))
	resp, err := t.next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusOK {
		t.mu.Lock()
		t.given, t.loaded = given, loaded
		t.mu.Unlock()
	}
	return resp, err
}

// config answers with what the test gave if what became of it is running.
func (t *through) config(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	running, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	if t.given != nil && sameJSON(running, t.loaded) {
		running = t.given
	}
	t.mu.Unlock()
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(running)), int64(len(running))
	resp.Header.Del("Content-Length")
	return resp, nil
}

// change returns a configuration as JSON, as it is and as it is to be loaded.
func change(body []byte, kind string) (given, loaded []byte, err error) {
	given = body
	if kind != "application/json" {
		adapter := caddyconfig.GetAdapter(kind)
		if adapter == nil {
			return nil, nil, errors.New("no adapter " + kind)
		}
		if given, _, err = adapter.Adapt(body, nil); err != nil {
			return nil, nil, err
		}
	}
	loaded = given
	if policy != "" {
		var config any
		if err := json.Unmarshal(given, &config); err != nil {
			return nil, nil, err
		}
		inject(config)
		if loaded, err = json.Marshal(config); err != nil {
			return nil, nil, err
		}
	}
	if supervised {
		loaded, err = supervise(loaded)
	}
	return given, loaded, err
}

func supervise(config []byte) ([]byte, error) {
	adapted, _, err := caddyconfig.GetAdapter("broker").Adapt(config, nil)
	if err != nil {
		return nil, err
	}
	var whole map[string]any
	if err := json.Unmarshal(adapted, &whole); err != nil {
		return nil, err
	}
	whole["apps"].(map[string]any)["broker"].(map[string]any)["ready_timeout"] = patience.String()
	return json.Marshal(whole)
}

// inject gives the policy to every reverse_proxy in a configuration that names
// none.
func inject(part any) {
	switch part := part.(type) {
	case []any:
		for _, inner := range part {
			inject(inner)
		}
	case map[string]any:
		for _, inner := range part {
			inject(inner)
		}
		if part["handler"] != "reverse_proxy" {
			return
		}
		balancing, _ := part["load_balancing"].(map[string]any)
		if balancing == nil {
			balancing = map[string]any{}
			part["load_balancing"] = balancing
		}
		if balancing["selection_policy"] == nil {
			balancing["selection_policy"] = map[string]any{"policy": policy}
		}
	}
}

func sameJSON(a, b []byte) bool {
	var left, right any
	return json.Unmarshal(a, &left) == nil && json.Unmarshal(b, &right) == nil && reflect.DeepEqual(left, right)
}

// TestThroughBroker adapts every Caddyfile of the suite with the broker's
// adapter: it must refuse what the plain one refuses, and what the child gets
// must be what the plain one makes, but for the admin endpoint.
func TestThroughBroker(t *testing.T) {
	files, err := filepath.Glob("caddyfile_adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no Caddyfiles: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, _, _ := bytes.Cut(text, []byte("\n----------"))
			options := map[string]any{}
			plain, _, stockErr := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile, options)
			whole, _, err := caddyconfig.GetAdapter("broker").Adapt(caddyfile, options)
			if stockErr != nil || err != nil {
				if fmt.Sprint(stockErr) != fmt.Sprint(err) {
					t.Errorf("the broker's adapter says %v, stock %v", err, stockErr)
				}
				return
			}
			want, got := map[string]json.RawMessage{}, struct {
				Apps struct {
					Broker struct {
						Children struct {
							Default struct {
								Config json.RawMessage `json:"config"`
							} `json:"default"`
						} `json:"children"`
					} `json:"broker"`
				} `json:"apps"`
			}{}
			if err := errors.Join(json.Unmarshal(plain, &want), json.Unmarshal(whole, &got)); err != nil {
				t.Fatal(err)
			}
			delete(want, "admin")
			rest, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if child := got.Apps.Broker.Children.Default.Config; !sameJSON(child, rest) {
				t.Errorf("the child gets\n%s\nwant\n%s", child, rest)
			}
		})
	}
}
