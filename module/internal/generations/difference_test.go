// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDifference(t *testing.T) {
	t.Parallel()
	const before = `{"apps":{"http":{"servers":{"s":{"listen":[":80"],"routes":[{"handle":[{"body":"hello","handler":"static_response"}]}]}}}},
		"tls":{"api_token":"one","other_token":"two","url":"https://u:pass@a/"}}`
	after := strings.NewReplacer("hello", "bye", `"two"`, `"three"`).Replace(before)
	const want = `@@ -9,7 +9,7 @@
 						{
 							"handle": [
 								{
-									"body": "hello",
+									"body": "bye",
 									"handler": "static_response"
 								}
 							]
@@ -20,7 +20,7 @@
 	},
 	"tls": {
 		"api_token": "(secret 1)",
-		"other_token": "(secret 2)",
+		"other_token": "(secret 4)",
 		"url": "https://u:(secret 3)@a/"
 	}
 }
`
	got := difference([]byte(before), []byte(after))
	for _, secret := range []string{"one", "two", "three", "pass@"} {
		if strings.Contains(got, secret) {
			t.Errorf("it shows the secret %s", secret)
		}
	}
	if normal(got) != normal(want) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if got := difference([]byte(before), []byte(before)); got != "" {
		t.Errorf("what is the same differs:\n%s", got)
	}
}

// normal is a difference whose numbers of secrets, which follow the order of a map, are
// left out, and the places of its parts.
func normal(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "@@") {
			line = "@@\n"
		}
		lines = append(lines, line)
	}
	text = strings.Join(lines, "")
	for _, n := range []string{"1", "2", "3", "4", "5"} {
		text = strings.ReplaceAll(text, "(secret "+n+")", "(secret)")
	}
	return text
}

// Edits turn the one into the other, whatever they are.
func TestEdits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 12)
		a, b := lines.Draw(t, "a"), lines.Draw(t, "b")
		var olds, news []string
		for _, e := range edits(a, b) {
			if e.op != '+' {
				olds = append(olds, e.line)
			}
			if e.op != '-' {
				news = append(news, e.line)
			}
		}
		if !slices.Equal(olds, a) || !slices.Equal(news, b) {
			t.Fatalf("%q to %q became %q to %q", a, b, olds, news)
		}
		if text := unified(a, b); (text == "") != slices.Equal(a, b) {
			t.Fatalf("%q and %q differ by %q", a, b, text)
		}
	})
}

// A difference has its bounds, however much has changed.
func TestDifferenceIsBounded(t *testing.T) {
	t.Parallel()
	a, b := make([]string, 5000), make([]string, 5000)
	for i := range a {
		a[i], b[i] = strings.Repeat("a", 20), strings.Repeat("b", 20)
	}
	got := unified(a, b)
	if len(got) > maxDifference+100 || !strings.HasSuffix(got, "[the rest is left out]\n") {
		t.Errorf("it has %d bytes and ends with %q", len(got), got[max(0, len(got)-30):])
	}
}
