// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFormerVersions: the configuration of a process that an earlier version has made,
// in its autosave or in a file that is still in use, is the user's from which it was made.
func TestFormerVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, former, user, source string }{
		{
			"adapted from a Caddyfile",
			`{"admin":{"listen":"localhost:2020","origins":["a"]},"storage":{"module":"file_system","root":"/s"},"logging":{"logs":{"default":{"level":"DEBUG","writer":{"output":"stderr"}}}},
			 "apps":{"events":{"subscriptions":[]},"broker":{"standby":1,"env":{"A":"b"},"source":{"file":"/etc/Caddyfile","adapter":"broker"},"admin_listen":"localhost:2020",
			  "children":{"default":{"config":{"storage":{"module":"file_system","root":"/s"},"logging":{"logs":{"default":{"level":"DEBUG","writer":{"output":"file","filename":"/f"}}}},
			   "apps":{"events":{"subscriptions":[]},"http":{"servers":{"s":{"listen":[":80"]}}}}}},"worker":{"command":["w"]}}}}}`,
			`{"admin":{"listen":"localhost:2020","origins":["a"]},"apps":{"broker":{"children":{"worker":{"command":["w"]}},"env":{"A":"b"},"standby":1},"events":{"subscriptions":[]},"http":{"servers":{"s":{"listen":[":80"]}}}},` +
				`"logging":{"logs":{"default":{"level":"DEBUG","writer":{"filename":"/f","output":"file"}}}},"storage":{"module":"file_system","root":"/s"}}`,
			"/etc/Caddyfile",
		},
		{
			"without options",
			`{"apps":{"broker":{"children":{"default":{"config":{"apps":{"http":{}}}}}}}}`,
			`{"apps":{"http":{}}}`, "",
		},
		{
			"options of the child itself",
			`{"apps":{"broker":{"restart_delay":1,"children":{"default":{"standby":2,"config":{}}}}}}`,
			`{"apps":{"broker":{"restart_delay":1,"standby":2}}}`, "",
		},
		{"nothing of a broker's", `{"apps":{"http":{}}}`, `{"apps":{"http":{}}}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := Unwrap([]byte(c.former))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(d.JSON()); got != c.user {
				t.Errorf("it was made from\n%s, want\n%s", got, c.user)
			}
			if source := d.Source; (source != nil) != (c.source != "") || source != nil && source.File != c.source {
				t.Errorf("it came from %+v", source)
			}
			// And what it is made into is understood as well.
			parent, err := Wrap(d)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Unwrap(parent)
			if err != nil || string(again.JSON()) != c.user {
				t.Errorf("it has become %s (%v)", again.JSON(), err)
			}
		})
	}
}

// TestWrapRefuses what cannot become the configuration of a process that supervises.
func TestWrapRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, want string }{
		{`{"apps":{"broker":{"restart_dely":"3s"}}}`, "restart_dely"},
		{`{"apps":{"broker":{"children":{"default":{"command":["a"]}}}}}`, "apps.broker.children.default"},
		{`{"admin":{},"ADMIN":{}}`, "two spellings"},
		{`{"admin":[]}`, "admin: "},
		{`"text"`, "cannot unmarshal string into Go value of type caddy.Config"},
		{`{"apps":{"http":{},"broker":{"children":{"default":{"config":{}}}}}}`, "apps.http"},
	} {
		d, err := Unwrap([]byte(c.config))
		if err == nil {
			_, err = Wrap(d)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.config, err, c.want)
		}
	}
}

// TestLogOfTheParent: its default log has level and format of the user's, without the requests
// that only ask; at level debug nothing is left out.
func TestLogOfTheParent(t *testing.T) {
	t.Parallel()
	for user, want := range map[string]string{
		`{}`:                            `{"encoder":{"format":"broker"},"writer":{"output":"stderr"}}`,
		`{"encoder":{"format":"json"}}`: `{"encoder":{"format":"broker","wrap":{"format":"json"}},"writer":{"output":"stderr"}}`,
		`{"level":"ERROR","writer":{"output":"file"}}`:  `{"encoder":{"format":"broker"},"level":"ERROR","writer":{"output":"stderr"}}`,
		`{"level":"debug"}`:                             `{"level":"debug","writer":{"output":"stderr"}}`,
		`{"level":"DEBUG","encoder":{"format":"json"}}`: `{"encoder":{"format":"json"},"level":"DEBUG","writer":{"output":"stderr"}}`,
	} {
		d, err := Unwrap([]byte(`{"logging":{"logs":{"default":` + user + `}}}`))
		if err != nil {
			t.Fatal(err)
		}
		parent, err := Wrap(d)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Logging struct{ Logs map[string]json.RawMessage }
		}
		if err := json.Unmarshal(parent, &got); err != nil {
			t.Fatal(err)
		}
		if log := string(got.Logging.Logs["default"]); log != want {
			t.Errorf("from %s comes %s, want %s", user, log, want)
		}
	}
}

// TestPlacesOfProbes: a line more above a probe is no reason to load all anew, and errors
// name the new place.
func TestPlacesOfProbes(t *testing.T) {
	t.Parallel()
	parts := func(probe string) *wrapped {
		d, err := Unwrap([]byte(`{"apps":{"broker":{"probes":[` + probe + `]},"http":{"servers":{"s":{"listen":[":80"],"routes":[{}]}}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		w, err := wrap(d)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	first, moved := parts(`{"method":"GET","url":"http://a.test/","at":"f:1"}`), parts(`{"method":"GET","url":"http://a.test/","at":"f:2"}`)
	if same, err := sameAround(first.user, moved); !same || err != nil {
		t.Errorf("it is another one (%v)", err)
	}
	if same, err := sameAround(first.user, parts(`{"method":"GET","url":"http://a.test/x","at":"f:1"}`)); same || err != nil {
		t.Errorf("another probe is the same (%v)", err)
	}
	a := new(App)
	if err := a.place(moved); err != nil || len(a.Probes) != 1 || a.Probes[0].At != "f:2" {
		t.Errorf("probes are %+v (%v)", a.Probes, err)
	}
}
