// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// FuzzSplit: whatever a configuration says, it is refused or becomes the broker's,
// as Caddy reads it: admin endpoint, storage, default log and events of the broker are those of
// the configuration, it serves nothing, and the child has the apps, and neither an
// admin endpoint nor a broker.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		`{"admin":{"disabled":true},"storage":{"module":"a"},"logging":{"logs":{"default":{"level":"DEBUG"},"b":{}}},"apps":{"http":{"servers":{}},"events":{},"broker":{"standby":1}}}`,
		`{"Admin":{"disabled":true},"APPS":{"broker":{"standby":1},"tls":{}},"storagE":{"module":"a"}}`,
		`{"admin":null,"apps":null,"logging":null}`, `{"apps":{"broker":null,"http":null}}`, `{"apps":{"broker":{"children":{"default":{}}}}}`,
		`{"logging":{"Logs":{"default":{"LEVEL":"DEBUG"}}}}`, `{"admin":{},"ADMIN":{"disabled":true}}`, `null`, `{}`, `[]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		var whole any
		notJSON := json.Unmarshal(config, &whole)
		if notJSON == nil { // of a name that is there twice the last one counts
			config, _ = json.Marshal(whole)
		}
		out, err := split(config, nil)
		if err != nil {
			return
		}
		if notJSON != nil {
			t.Fatalf("%q became %s", config, out)
		}
		var was, parent, child caddy.Config
		if json.Unmarshal(config, &was) != nil {
			return // Caddy refuses it
		}
		if err := json.Unmarshal(out, &parent); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		app := new(broker.App)
		if err := caddy.StrictUnmarshalJSON(parent.AppsRaw["broker"], app); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if err := json.Unmarshal(app.Children[broker.DefaultChild].Config, &child); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if child.Admin != nil || child.AppsRaw["broker"] != nil {
			t.Fatalf("the child of %s has the admin endpoint %+v and the broker %s", out, child.Admin, child.AppsRaw["broker"])
		}
		if !reflect.DeepEqual(parent.Admin, was.Admin) || !same(parent.StorageRaw, was.StorageRaw) || !same(child.StorageRaw, was.StorageRaw) || !same(parent.AppsRaw["events"], was.AppsRaw["events"]) {
			t.Fatalf("%s has lost something of %s", out, config)
		}
		if !sameLog(parent.Logging, was.Logging) {
			t.Fatalf("the default log of %s is not that of %s", out, config)
		}
		delete(was.AppsRaw, "broker")
		if !maps.EqualFunc(child.AppsRaw, was.AppsRaw, same) {
			t.Fatalf("the child of %s has not the apps of %s", out, config)
		}
		for name := range parent.AppsRaw {
			if !slices.Contains([]string{"broker", "events"}, name) {
				t.Fatalf("the broker has the app %q", name)
			}
		}
	})
}

// sameLog compares the level and the format of the default logs.
func sameLog(a, b *caddy.Logging) bool {
	def := func(l *caddy.Logging) (log caddy.CustomLog) {
		if l != nil && l.Logs["default"] != nil {
			log = *l.Logs["default"]
		}
		return log
	}
	return def(a).Level == def(b).Level && same(def(a).EncoderRaw, def(b).EncoderRaw)
}

func same(a, b json.RawMessage) bool {
	compact := func(raw json.RawMessage) string {
		var out bytes.Buffer
		if json.Compact(&out, raw) != nil || out.String() == "null" {
			return ""
		}
		return out.String()
	}
	return compact(a) == compact(b)
}
