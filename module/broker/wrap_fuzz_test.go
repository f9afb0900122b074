// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/parentlog"
)

// FuzzWrap: whatever a configuration says, it is refused or becomes that of a process
// that supervises, as Caddy reads it: admin endpoint, storage, default log and events of
// that process are those of the configuration, without ids, and it serves nothing; the
// child has the applications, and neither an admin endpoint nor a broker nor ids; and
// the user's configuration comes back out of it, to the letter.
func FuzzWrap(f *testing.F) {
	for _, s := range []string{
		`{"admin":{"disabled":true},"storage":{"module":"a"},"logging":{"logs":{"default":{"level":"DEBUG"},"b":{}}},"apps":{"http":{"servers":{}},"events":{},"broker":{"standby":1}}}`,
		`{"Admin":{"disabled":true},"APPS":{"broker":{"standby":1},"tls":{}},"storagE":{"module":"a"}}`,
		`{"admin":null,"apps":null,"logging":null}`, `{"apps":{"broker":null,"http":null}}`, `{"apps":{"broker":{"children":{"default":{}}}}}`,
		`{"logging":{"Logs":{"default":{"LEVEL":"DEBUG"}}}}`, `{"admin":{},"ADMIN":{"disabled":true}}`, `null`, `{}`, `[]`,
		`{"@id":"a","@@id":{"@id":1},"storage":{"@id":"st","module":"m"},"apps":{"@id":"x","events":{"@id":"e"},"http":{"servers":{"s":{"@id":"s","@@@id":null}}}}}`,
		`{"admin":{"@id":"ad","config":{"load":{"module":"http","@id":"l"}}},"logging":{"logs":{"default":{"encoder":{"@id":"enc","format":"json"}}}}}`,
		`{"apps":{"broker":{"off":true},"http":{"@id":"h"}}}`, `{"apps":{"broker":{"standby":2,"OFF":false}}}`, `{"admin":{"listen":7}}`, `{"apps":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		d, err := Unwrap(config)
		if err != nil {
			return // not JSON, two spellings, or an id twice
		}
		out, err := Wrap(d)
		if err != nil {
			return
		}
		var parent, was caddy.Config
		stripped, err := json.Marshal(document.WithoutIDs(d.Config()))
		if err != nil {
			t.Fatal(err)
		}
		if json.Unmarshal(stripped, &was) != nil {
			return // Caddy refuses it
		}
		if err := json.Unmarshal(caddy.RemoveMetaFields(out), &parent); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if parent.AppsRaw["broker"] == nil || bytes.Equal(out, d.JSON()) { // it is off
			return
		}
		if whole, err := document.Parse(out); err != nil {
			t.Fatalf("Caddy would refuse the ids in %s: %v", out, err)
		} else if text, _ := json.Marshal(document.WithoutIDs(whole.Config())); !bytes.Equal(text, whole.JSON()) {
			t.Fatalf("%s has ids", out)
		}
		back, err := Unwrap(out)
		if err != nil || !bytes.Equal(back.JSON(), d.JSON()) {
			t.Fatalf("%s has become %s (%v)", d.JSON(), back.JSON(), err)
		}
		app := new(App)
		if err := caddy.StrictUnmarshalJSON(parent.AppsRaw["broker"], app); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if err := app.document(); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !bytes.Equal(app.doc.JSON(), d.JSON()) {
			t.Fatalf("the app has the document %s of %s", app.doc.JSON(), d.JSON())
		}
		var child caddy.Config
		served := app.Children[DefaultChild].Config
		if err := json.Unmarshal(served, &child); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if value, _ := document.Parse(served); hasID(value.Config()) {
			t.Fatalf("the child has ids: %s", served)
		}
		if child.Admin != nil || child.AppsRaw["broker"] != nil {
			t.Fatalf("the child of %s has the admin endpoint %+v and the broker %s", out, child.Admin, child.AppsRaw["broker"])
		}
		if !sameAdmin(parent.Admin, was.Admin) || !same(parent.StorageRaw, was.StorageRaw) || !same(child.StorageRaw, was.StorageRaw) || !same(parent.AppsRaw["events"], was.AppsRaw["events"]) {
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

func hasID(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if key == document.IDKey || hasID(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, hasID)
	}
	return false
}

// sameAdmin compares admin endpoints, but for the loader that is put before the user's.
func sameAdmin(ours, users *caddy.AdminConfig) bool {
	if ours != nil && ours.Config != nil && ours.Config.LoadRaw != nil {
		var before struct {
			Module string          `json:"module"`
			Loader json.RawMessage `json:"loader"`
		}
		if json.Unmarshal(ours.Config.LoadRaw, &before) == nil && before.Module == "broker" {
			ours.Config.LoadRaw = before.Loader
		}
	}
	if ours != nil && len(ours.Origins) > 0 && ours.Origins[len(ours.Origins)-1] == "" && (users == nil || users.Origins == nil) {
		ours.Origins = nil // for the console
		if users == nil {
			users = new(caddy.AdminConfig)
		}
	}
	a, errA := json.Marshal(ours)
	b, errB := json.Marshal(users)
	return errA == nil && errB == nil && same(a, b)
}

// sameLog compares the level and the format of the default logs, but for the encoder that is
// put before the user's.
func sameLog(ours, users *caddy.Logging) bool {
	def := func(l *caddy.Logging) (log caddy.CustomLog) {
		if l != nil && l.Logs["default"] != nil {
			log = *l.Logs["default"]
		}
		return log
	}
	a, b := def(ours), def(users)
	var before struct {
		Format string          `json:"format"`
		Wrap   json.RawMessage `json:"wrap"`
	}
	if json.Unmarshal(a.EncoderRaw, &before) == nil && before.Format == parentlog.Format {
		a.EncoderRaw = before.Wrap
	}
	return a.Level == b.Level && same(a.EncoderRaw, b.EncoderRaw)
}

// same compares JSON values; null is as good as nothing.
func same(a, b json.RawMessage) bool {
	decoded := func(raw json.RawMessage) (v any) {
		_ = json.Unmarshal(raw, &v)
		return v
	}
	return reflect.DeepEqual(decoded(a), decoded(b))
}
