// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"encoding/json"
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

// What may be a secret is one wherever it stands, and what is none is shown.
func TestMask(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ config, want string }{
		"header operations": {
			`{"handler":"headers","request":{"set":{"X-Probe":["s1"]},"add":{"X-B":["s2"]},"delete":["X-Gone"],"replace":{"X-C":[{"search":"s3","replace":"s1"}]}},"response":{"deferred":true,"set":{"X-D":["s2"]}}}`,
			`{"handler":"headers","request":{"add":{"X-B":["(secret 1)"]},"delete":["X-Gone"],"replace":{"X-C":[{"replace":"(secret 2)","search":"(secret 3)"}]},"set":{"X-Probe":["(secret 2)"]}},"response":{"deferred":true,"set":{"X-D":["(secret 1)"]}}}`,
		},
		"header_up": {
			`{"handler":"reverse_proxy","headers":{"request":{"set":{"X-Upstream-Auth":["s1"]},"delete":["X-Gone"]}},"upstreams":[{"dial":"10.0.0.1:80"}]}`,
			`{"handler":"reverse_proxy","headers":{"request":{"delete":["X-Gone"],"set":{"X-Upstream-Auth":["(secret 1)"]}}},"upstreams":[{"dial":"10.0.0.1:80"}]}`,
		},
		"header of an answer": {`{"body":"hello you","headers":{"X-A":["s1"]},"status_code":200}`, `{"body":"hello you","headers":{"X-A":["(secret 1)"]},"status_code":200}`},
		"matchers": {
			`{"header":{"X-A":["s1"],"X-B":null},"header_regexp":{"X-A":{"pattern":"s2"}},"path":["/a","/b"]}`,
			`{"header":{"X-A":["(secret 1)"],"X-B":null},"header_regexp":{"X-A":{"pattern":"(secret 2)"}},"path":["/a","/b"]}`,
		},
		"environment": {`{"broker":{"env":{"STRIPE":"s1"},"standby":1}}`, `{"broker":{"env":{"STRIPE":"(secret 1)"},"standby":1}}`},
		"probe": {
			`{"method":"GET","request_header":{"X-A":"s1"},"url":"https://a.example/health?k=s2"}`,
			`{"method":"GET","request_header":{"X-A":"(secret 1)"},"url":"https://a.example/health?k=(secret 2)"}`,
		},
		"query": {
			`{"uri":"/a/{http.request.uri.path}?api_key=s1&b=s2&flag#end","a":"{http.request.uri}&x=s1","query":{"set":[{"key":"s3","val":"s1"}]}}`,
			`{"a":"{http.request.uri}\u0026x=(secret 1)","query":{"set":[{"key":"(secret 2)","val":"(secret 1)"}]},"uri":"/a/{http.request.uri.path}?api_key=(secret 1)\u0026b=(secret 3)\u0026flag#end"}`,
		},
		"password": {
			`{"a":"https://user:s/1@s?2@a.example/x","b":"to https://:s1@b and mail@c","c":"http://c:80/d"}`,
			`{"a":"https://user:(secret 1)@a.example/x","b":"to https://:(secret 2)@b and mail@c","c":"http://c:80/d"}`,
		},
		"auth": {
			`{"upstream_auth":"s1","auth":{"user":"s2"},"client_authentication":{"mode":"require"},"certificate_authorities":["local"]}`,
			`{"auth":{"user":"(secret 1)"},"certificate_authorities":["local"],"client_authentication":{"mode":"require"},"upstream_auth":"(secret 2)"}`,
		},
		"no secret": {
			`{"admin":{"listen":"localhost:2019"},"body":"a page, <a href=\"/?page=2\">next</a>","listen":[":443"],"replace":"stop_first","root":"/srv"}`,
			`{"admin":{"listen":"localhost:2019"},"body":"a page, \u003ca href=\"/?page=2\"\u003enext\u003c/a\u003e","listen":[":443"],"replace":"stop_first","root":"/srv"}`,
		},
	} {
		var value any
		if err := json.Unmarshal([]byte(c.config), &value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := json.Marshal(new(mask).value(value, false))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got\n%s, want\n%s (%v)", name, got, c.want, err)
		}
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
