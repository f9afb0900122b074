// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/standard"
)

var updateDirective = flag.Bool("update-failover", false, "write the expected JSON of testdata/failover anew")

const dashes = "----------\n"

// Each file of testdata/failover holds a Caddyfile, a line of dashes, and the
// JSON it becomes or a part of the error it gets.
func TestFailoverDirective(t *testing.T) {
	files, err := filepath.Glob("testdata/failover/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("finding the tests: %v", err)
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), dashes)
			if !ok {
				t.Fatal("the file has no line of dashes")
			}
			want = strings.TrimSpace(want)
			got, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": name})
			if strings.HasPrefix(name, "error_") {
				if err == nil || want == "" || !strings.Contains(err.Error(), want) {
					t.Errorf("got the error %v, want %q in it", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Errorf("warning: %s", w)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, got, "", "\t"); err != nil {
				t.Fatal(err)
			}
			if *updateDirective {
				if err := os.WriteFile(file, []byte(input+dashes+pretty.String()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if pretty.String() != want {
				t.Errorf("got\n%s\nwant\n%s", pretty.String(), want)
			}
			validate(t, got)
		})
	}
}

// validate loads the configuration as far as `caddy validate` does.
func validate(t *testing.T, config []byte) {
	t.Helper()
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&c); err != nil {
		t.Error(err)
	}
}
