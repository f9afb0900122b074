// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// walk is a tree in which f has changed every object.
func walk(value any, f func(map[string]any)) any {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			value[key] = walk(v, f)
		}
		f(value)
	case []any:
		for i, v := range value {
			value[i] = walk(v, f)
		}
	}
	return value
}

// FuzzText: what is done to a text is what would be done to the tree that it stands for.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		`{"@id":"a"}`, `{"@id":1,"a":2}`, `{"a":1,"@id":{"@id":[]}}`, `[{"@id":"x\"}"},{"@@id":"@id"},{"@id":null}]`,
		`{"x\"@id":1,"@id":"\"@id\":"}`, `{"admin":{},"apps":{"broker":{"@id":"]"},"http":[{},"}"]},"id":5}`, `{"apps":{"broker":1}}`, `{"apps":{"a":1,"broker":"\\"}}`,
		`{"admin":1}`, `{"a":"@id","@@@id":true,"id":1,"x@id":2}`, `7`, `"@id"`, `{"\\":{"@id":-1.5e3}}`, `{"apps":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var value any
		if json.Unmarshal(input, &value) != nil {
			return
		}
		encode := func(value any) []byte {
			text, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		text := encode(value)
		again := func() (value any) {
			_ = json.Unmarshal(text, &value)
			return value
		}
		sameAs := func(name string, got []byte, want any) {
			t.Helper()
			var tree any
			if err := json.Unmarshal(got, &tree); err != nil || !bytes.Equal(encode(tree), encode(want)) {
				t.Fatalf("%s of %s: %s (%v), want %s", name, text, got, err, encode(want))
			}
		}
		sameAs("DropIDs", DropIDs(text), walk(again(), func(o map[string]any) { delete(o, IDKey) }))
		sameAs("EscapeIDs", EscapeIDs(text), walk(again(), func(o map[string]any) {
			renamed := map[string]any{}
			for key, v := range o {
				if rest := strings.TrimLeft(key, "@"); rest == "id" && len(key) > len(rest) {
					delete(o, key)
					renamed["@"+key] = v
				}
			}
			maps.Copy(o, renamed)
		}))
		without := again()
		if o, ok := without.(map[string]any); ok {
			if apps, ok := o["apps"].(map[string]any); ok {
				delete(apps, "broker")
			}
		}
		sameAs("Without apps.broker", Without(text, "apps", "broker"), without)
		if o, ok := without.(map[string]any); ok {
			delete(o, "admin")
		}
		sameAs("Without admin", Without(Without(text, "admin"), "apps", "broker"), without)
	})
}
