// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

// dispense makes tokens of a text; nil where there are none.
func dispense(text string) *caddyfile.Dispenser {
	tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
	if err != nil || len(tokens) == 0 {
		return nil
	}
	return caddyfile.NewDispenser(tokens)
}

// Whatever the global option says, it is refused or becomes an app that Caddy
// reads without anything unknown, and that says the same again.
func FuzzOption(f *testing.F) {
	for _, s := range []string{
		"{\nstandby 1\nrestart_delay 2s\nwatchdog off\n}",
		"{\nmax_restart_delay 1m\nrestart_reset 30s\nready_timeout 5s\ndrain_timeout 0\nstop_timeout 1s\nha_log off\nenv A b\n}",
		"{\nchild a {\ncommand /bin/sh -c true\nlisten :80 unix//run/a\nenv A b\n}\n}",
		"{\nnetwork {\nname a\nadvertise http://192.0.2.1:80\nseeds 192.0.2.2:7946\nkey 0123456789abcdef\nupdate_cluster_filter .*\nrebalance_cluster_clients false\n}\n}",
		"{\nnetwork {\n", "{\nchild {\n}\n}", "x", "{ {\n} }", "{\nstandby\nstandby 1\n}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, block string) {
		d := dispense("broker " + block)
		if d == nil {
			return
		}
		value, err := parseOption(d, nil)
		if err != nil {
			return
		}
		app, ok := value.(httpcaddyfile.App)
		if !ok || app.Name != "broker" {
			t.Fatalf("the option became %#v", value)
		}
		read := new(broker.App)
		if err := caddy.StrictUnmarshalJSON(app.Value, read); err != nil {
			t.Fatalf("%s: %v", app.Value, err)
		}
		again, err := json.Marshal(read)
		if err != nil || string(again) != string(app.Value) {
			t.Fatalf("%s reads as %s (%v)", app.Value, again, err)
		}
	})
}

// Whatever the directive failover says, it is refused or becomes a reverse proxy
// whose policy Caddy reads without anything unknown, and that says the same again.
func FuzzFailoverDirective(f *testing.F) {
	for _, s := range []string{
		"failover:(http://a:80,b:81)?randomize=false&timeout=5000",
		`"failover:(https://10.0.0.1,https://10.0.0.2?maxRequests=50)?nested.soTimeout=1000" {` + "\nlb_retries 2\nlb_policy failover {\nbackup\n}\n}",
		"failover:() {\ndynamic a {\nname x\nport 80\n}\n}",
		"failover:(unix:///run/a.sock)?updateURIsURL=http://a:80/list {\nto b:80\ntransport http {\ntls\n}\n}",
		"failover:(h2c://a:80)?priorityURIs=h2c://a:80 {\nlb_policy first\n}",
		"failover:(http://a:80) {\nlb_policy failover\nlb_policy failover\n}", "{\n}", "failover:(", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		d := dispense("failover " + line)
		if d == nil || strings.Contains(line, "handle_response") { // needs a whole Caddyfile
			return
		}
		handler, err := parseFailover(httpcaddyfile.Helper{Dispenser: d})
		if err != nil {
			return
		}
		proxy, ok := handler.(*reverseproxy.Handler)
		if !ok {
			t.Fatalf("the directive became a %T", handler)
		}
		// Every address is an upstream; a block may name more of them.
		d.Reset()
		d.Next()
		d.NextArg()
		backends, _, err := new(policyconfig.Config).ReadAddress(d.Val())
		if err != nil {
			t.Fatalf("%q was accepted: %v", d.Val(), err)
		}
		for _, name := range backends {
			if !slices.ContainsFunc(proxy.Upstreams, func(up *reverseproxy.Upstream) bool { return strings.HasSuffix(name, up.Dial) }) {
				t.Fatalf("%s of %q is no upstream", name, d.Val())
			}
		}
		policy := proxy.LoadBalancing.SelectionPolicyRaw
		read := new(policyconfig.Config)
		// Caddy removes the name of the policy before the policy reads the rest.
		var members map[string]json.RawMessage
		if err := json.Unmarshal(policy, &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "policy")
		options, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.StrictUnmarshalJSON(options, read); err != nil {
			t.Fatalf("%s: %v", policy, err)
		}
		if again := caddyconfig.JSONModuleObject(read, "policy", "failover", nil); string(again) != string(policy) {
			t.Fatalf("%s reads as %s", policy, again)
		}
	})
}
