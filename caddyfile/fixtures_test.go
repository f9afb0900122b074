// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Caddy's own Caddyfiles, adapted for a broker: the child has what the stock adapter
// yields, to the letter, and the broker the admin endpoint.
func TestAdapterOverCaddysFixtures(t *testing.T) {
	t.Parallel()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		t.Fatalf("finding Caddy's source: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "caddytest/integration/caddyfile_adapt/*.caddyfiletest"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d fixtures found, %v", len(files), err)
	}
	adapted := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), "\n----------\n")
		options := map[string]any{"filename": filepath.Base(file)}
		plain, _, plainErr := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), options)
		ours, _, ourErr := Adapter{}.Adapt([]byte(input), options)
		if plainErr != nil {
			if ourErr == nil || ourErr.Error() != plainErr.Error() {
				t.Errorf("%s: the stock adapter says %v, ours %v", filepath.Base(file), plainErr, ourErr)
			}
			continue
		}
		if ourErr != nil {
			t.Errorf("%s: %v", filepath.Base(file), ourErr)
			continue
		}
		adapted++
		var want, got map[string]any
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ours, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(withoutOrigins(got["admin"]), want["admin"]) {
			t.Errorf("%s: the broker's admin endpoint is not the user's: %v", filepath.Base(file), got["admin"])
		}
		if !reflect.DeepEqual(at(got, "apps", "events"), at(want, "apps", "events")) {
			t.Errorf("%s: the broker has not got the user's event subscriptions", filepath.Base(file))
		}
		child := at(got, "apps", "broker", "children", "default", "config")
		if !reflect.DeepEqual(child, any(want)) {
			t.Errorf("%s: the child's configuration differs from the plain one", filepath.Base(file))
		}
	}
	if adapted < 100 {
		t.Errorf("only %d of %d fixtures were adapted", adapted, len(files))
	}
	t.Logf("%d fixtures adapted", adapted)
}

// withoutOrigins is an admin endpoint without what lets a browser open the console there,
// as it would stand without that.
func withoutOrigins(admin any) any {
	members, _ := admin.(map[string]any)
	origins, _ := members["origins"].([]any)
	if n := len(origins); n == 0 || origins[n-1] != "" {
		return admin
	}
	delete(members, "origins")
	if len(members) == 0 {
		return nil
	}
	return members
}
