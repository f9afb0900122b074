// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the option tables of docs anew")

const docFile = "../../docs/failover-options.md"

// The reference in docs is made from the table. To write it anew, run
// go test ./failover -run TestOptionsDoc -update.
func TestOptionsDoc(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for marker, scope := range map[string]Scope{"pool": ScopePool, "address": ScopeAddress} {
		begin, end := "<!-- begin options: "+marker+" -->\n", "<!-- end options: "+marker+" -->"
		before, rest, ok1 := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			t.Fatalf("%s lacks the marks of the table for %s", docFile, marker)
		}
		text = before + begin + docTable(scope) + end + after
	}
	if text == string(data) {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the table says; write it anew with -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func docTable(scope Scope) string {
	var b strings.Builder
	b.WriteString("| Caddyfile, JSON | in an address | default | allowed | effect |\n|---|---|---|---|---|\n")
	for _, o := range OptionTable() {
		if o.Scope != scope {
			continue
		}
		names := "–"
		if len(o.Address) > 0 {
			names = "`" + strings.Join(o.Address, "`, `") + "`"
		}
		def := o.Default
		if !strings.ContainsAny(def, " `") && def != "none" {
			def = "`" + def + "`"
		}
		b.WriteString("| `" + o.Name + "` | " + names + " | " + def + " | " + o.Allowed + " | " + o.Effect + " |\n")
	}
	return b.String()
}
