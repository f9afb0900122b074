// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/statefile"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// TestStateTravels: what is written is read again, by this version's format only.
func TestStateTravels(t *testing.T) {
	t.Parallel()
	s := &State{
		At: time.Now().Round(0), Config: json.RawMessage(`{"apps":{}}`),
		Children: map[string]*Child{"default": {
			Handover: &supervisor.Handover{Generation: 2, LastGeneration: 3, LastID: 7, Processes: []supervisor.HandedProcess{{
				ID: 5, Pid: 100, Phase: "active", Stderr: 9, Spec: &supervisor.Spec{Command: []string{"caddy"}, Config: []byte("{}"), Watchdog: time.Minute},
			}}},
			Pools: []statefile.Piece{{Topic: "plan", Data: json.RawMessage(`{}`)}}, Serving: 5,
			Dirs: map[string]sockets.HandedDir{"": {}},
		}},
	}
	file, err := s.write()
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	got, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := json.Marshal(s); !reflect.DeepEqual(mustJSON(t, got), want) {
		t.Errorf("got  %s\nwant %s", mustJSON(t, got), want)
	}
	if got.From != Version() || !strings.Contains(got.From, "Caddy") {
		t.Errorf("it is from %q", got.From)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestForeignState(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                            "no state of a broker",
		`{"caddy_broker_handover":1`:  "no state of a broker",
		`{"caddy_broker_state":1}`:    "no state of a broker",
		`{"caddy_broker_handover":2}`: "it is of format 2, this program reads format 1",
		`{"caddy_broker_handover":1, "children":7}`: "cannot unmarshal",
	} {
		if s, err := read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: read %+v, %v; want an error with %q", text, s, err, want)
		}
	}
}
