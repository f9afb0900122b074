// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

var update = flag.Bool("update", false, "write the option tables of docs anew")

const docFile = "../../docs/failover-options.md"

// The reference in docs is made from the table. To write it anew, run
// go test ./failover/address -run TestOptionsDoc -update.
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
	var rows options.Table[Options]
	for _, o := range OptionTable() {
		if o.Scope == scope {
			rows = append(rows, o)
		}
	}
	return rows.MarkdownTable(true)
}
