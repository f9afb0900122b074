// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"maps"
	"slices"
	"testing"
)

// Of a test with parts the parts count, unless it failed beside them. What never
// said how it ended did not pass.
func TestOutcomes(t *testing.T) {
	printed := "\x16=== RUN   TestParts\n\x16=== RUN   TestParts/one/two\n\x16=== RUN   TestParts/three\n" +
		"    parts_test.go:7: wrong answer\n" +
		"\x16--- FAIL: TestParts (0.00s)\n\x16    --- FAIL: TestParts/three (0.00s)\n\x16    --- PASS: TestParts/one/two (0.00s)\n" +
		"\x16=== RUN   TestItself\n\x16=== RUN   TestItself/part\n\x16--- FAIL: TestItself (0.00s)\n\x16    --- PASS: TestItself/part (0.00s)\n" +
		"\x16=== RUN   TestCrashes\npanic: no\n"
	results, err := outcomes(bytes.NewBufferString(printed))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"TestParts/one/two": true, "TestParts/three": false, "TestItself": false, "TestItself/part": true, "TestCrashes": false,
	}
	if got := slices.Sorted(maps.Keys(results)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
		t.Errorf("got %q", got)
	}
	for name, passed := range want {
		if results[name].Passed != passed {
			t.Errorf("%s: passed %v, want %v", name, results[name].Passed, passed)
		}
	}
	if !bytes.Contains([]byte(results["TestParts/three"].Text), []byte("wrong answer")) {
		t.Errorf("the text of the part is %q", results["TestParts/three"].Text)
	}
}
