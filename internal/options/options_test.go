// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"strings"
	"testing"
	"time"
)

func TestNearest(t *testing.T) {
	known := []string{"restart_delay", "max_restart_delay", "restart_reset", "watchdog", "name", "env", "priority_backup", "wireFormat.maxInactivityDuration"}
	for name, want := range map[string]string{
		"restart_delay":         "restart_delay",
		"restartDelay":          "restart_delay",
		"restart_dealy":         "restart_delay",
		"restart-delays":        "restart_delay",
		"max_restart_dely":      "max_restart_delay",
		"nome":                  "name",
		"evn":                   "env",
		"watch":                 "watchdog",
		"restart":               "", // begins two
		"priority_bakup":        "priority_backup",
		"PRIORITYBACKUP":        "priority_backup",
		"maxInactivityDuration": "",
		"retries":               "",
		"x":                     "",
		"":                      "",
		"\xff\xfe":              "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"nome": `unknown option "nome": did you mean name? allowed are name, bind`,
		"xyz":  `unknown option "xyz": allowed are name, bind`,
	} {
		if got := Unknown("option", name, []string{"name", "bind"}).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestDurationString(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0": 0, "-1": NoLimit, "10ms": 10 * time.Millisecond, "1m": time.Minute, "1h": time.Hour, "20m": 20 * time.Minute,
		"10h10m": 10*time.Hour + 10*time.Minute, "1m30s": 90 * time.Second, "24h": 24 * time.Hour, "1h0m1s": time.Hour + time.Second,
	} {
		if got := DurationString(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
}

// sample has an option of each kind that repeats, is off or secret.
type sample struct {
	Wait  *time.Duration    `json:"wait"`
	Seeds []string          `json:"seeds"`
	Env   map[string]string `json:"env"`
	Key   string            `json:"key"`
	Name  string            `json:"name"`
	Subs  map[string]*struct {
		A int `json:"a"`
	} `json:"subs"`
}

var sampleTable = Table[sample]{
	{Name: "wait", Kind: Duration, Off: NoLimit, Allowed: "a duration, at least 0, or off", Access: Optional(func(s *sample) **time.Duration { return &s.Wait }, NoLimitOr(NotNegative))},
	{Name: "seeds", Kind: List, Repeat: true, Allowed: "names", Access: Omissible(Field(func(s *sample) *[]string { return &s.Seeds }))},
	{Name: "env", Kind: Pairs, Repeat: true, Allowed: "a name and a value", Access: Omissible(Field(func(s *sample) *map[string]string { return &s.Env }))},
	{Name: "key", Kind: String, Secret: true, Allowed: "a key", Access: Omissible(Field(func(s *sample) *string { return &s.Key }, func(k string) error {
		if len(k) < 3 {
			return ErrRange
		}
		return nil
	}))},
	{Name: "name", Kind: String, Default: Required, Allowed: "a name", Access: Omissible(Field(func(s *sample) *string { return &s.Name }))},
}

var testUnits = Units{Duration: time.ParseDuration, DurationText: DurationText, SizeText: SizeText}

func TestReadArgs(t *testing.T) {
	tests := []struct{ lines, want, err string }{
		{"wait 2s", "2s", ""},
		{"wait off", "-1", ""},
		{"wait", "", "it has no value; expecting a duration such as 500ms, 2s or 1m, at least 0, or off"},
		{"wait 1s 2s", "", "it has several values; expecting a duration such as"},
		{"wait 5", "", `value "5" is not allowed: expecting a duration such as 500ms, 2s or 1m`},
		{"wait -2s", "", `value "-2s" is not allowed: expecting`},
		{"seeds a b/seeds c", "a b c", ""},
		{"env A 1/env B 2", "A 1, B 2", ""},
		{"env A 1/env A 2", "", `"A" is already given`},
		{"env A", "", "it has 1 values instead of two; expecting a name and a value"},
		{"key ab", "", "the value is not allowed: expecting a key"},
	}
	for _, tt := range tests {
		t.Run(tt.lines, func(t *testing.T) {
			var s sample
			var row *Row[sample]
			var err error
			for line := range strings.SplitSeq(tt.lines, "/") {
				words := strings.Fields(line)
				row = sampleTable.Lookup(words[0])
				if _, err = row.ReadArgs(&s, words[1:], testUnits); err != nil {
					break
				}
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil || Text(row.Get(&s)) != tt.want {
				t.Errorf("got %q, %v; want %q", Text(row.Get(&s)), err, tt.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for want, s := range map[string]sample{
		"":                               {Name: "a"},
		"option name is missing":         {},
		"option wait: value \"-5ns\" is": {Name: "a", Wait: new(time.Duration(-5))},
		"option key: the value is":       {Name: "a", Key: "x"},
	} {
		err := sampleTable.Check(&s)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDecode(t *testing.T) {
	tests := []struct{ json, err string }{
		{`{"wait":1,"SEEDS":["a"],"env":{"A":"1"},"key":null,"subs":{"x":{"a":1}}}`, ""},
		{`null`, ""},
		{`{"wait":"1s"}`, `option wait: value "1s" is not allowed: expecting a duration such as`},
		{`{"seeds":{"a":1}}`, `option seeds: value "{\"a\":1}" is not allowed: expecting names`},
		{`{"key":7}`, "option key: the value is not allowed: expecting a key"},
		{`{"seed":[]}`, `unknown option "seed": did you mean seeds? allowed are`},
		{`{"subs":{"x":{"a":1},"y":{"b":2}}}`, `subs: y: json: unknown field "b"`},
		{`{"subs":7}`, "subs: "},
		{`[]`, "cannot unmarshal array"},
	}
	for _, tt := range tests {
		var s sample
		err := Decode([]byte(tt.json), &s, func(name string) (Member, error) {
			if name == "subs" {
				return Member{Named: true}, nil
			}
			if row := sampleTable.Lookup(name); row != nil {
				return row.Member(), nil
			}
			return Member{}, Unknown("option", name, sampleTable.Names())
		})
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got %v, want %q", tt.json, err, tt.err)
		}
	}
}
