// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// adaptPlain adapts a Caddyfile without a child.
func adaptPlain(text string) (string, error) {
	out, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return string(out), err
}

func TestNetworkBlock(t *testing.T) {
	out, err := adaptPlain(`{
	broker {
		network {
			name a
			advertise http://a:80 https://a:443
			bind 127.0.0.1:7946
			seeds 127.0.0.1:7947
			seeds b.example:7946
			key "a secret of the network"
			update_cluster_clients
			update_cluster_clients_on_remove false
			rebalance_cluster_clients true
			update_cluster_filter a b.*
		}
	}
}
http://:80 {
	broker_uris http://public:80
}
`)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Apps struct {
			Broker json.RawMessage `json:"broker"`
		} `json:"apps"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := `{"network":{"name":"a","advertise":["http://a:80","https://a:443"],"bind":"127.0.0.1:7946",` +
		`"seeds":["127.0.0.1:7947","b.example:7946"],"key":"a secret of the network","update_cluster_clients":true,` +
		`"rebalance_cluster_clients":true,"update_cluster_filter":["a","b.*"]}}`
	if string(got.Apps.Broker) != want {
		t.Errorf("got  %s\nwant %s", got.Apps.Broker, want)
	}
	if handler := `{"addresses":["http://public:80"],"handler":"broker_uris"}`; !strings.Contains(out, handler) {
		t.Errorf("%s lacks %s", out, handler)
	}
}

func TestNetworkBlockErrors(t *testing.T) {
	for _, tc := range []struct{ block, err string }{
		{"name a\nadvertise http://a:80\nbind 127.0.0.1:1\nupdate_cluster_filter *", "update_cluster_filter"},
		{"name a\nadvertise http://a:80", "key is missing"},
		{"name a\nname b", "option name is already given: remove one"},
		{"name", "option name: it has no value; expecting up to 63 letters"},
		{"seeds", "option seeds: it has no value; expecting HOST:PORT"},
		{"update_cluster_clients maybe", "expecting true or false"},
		{"nome a", `unknown option "nome": did you mean name? allowed are name, advertise, `},
	} {
		_, err := adaptPlain("{\nbroker {\nnetwork {\n" + tc.block + "\n}\n}\n}\n")
		if err == nil || !strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%q: error %v, want one with %q and the line", tc.block, err, tc.err)
		}
	}
	if _, err := adaptPlain("http://:80 {\nbroker_uris {\nfoo\n}\n}\n"); err == nil {
		t.Error("a block of broker_uris is accepted")
	}
}
