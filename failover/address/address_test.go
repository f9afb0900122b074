// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"reflect"
	"strings"
	"testing"
)

// parsed reads s and checks that its rendering reads as the same.
func parsed(t *testing.T, s string) *Address {
	t.Helper()
	a, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(a.String())
	if err != nil {
		t.Fatalf("reading %s again: %v", a, err)
	}
	if !reflect.DeepEqual(a.URIs, again.URIs) || !reflect.DeepEqual(a.Options, again.Options) || !reflect.DeepEqual(a.Given, again.Given) {
		t.Fatalf("%s reads as\n%+v,\nbut %s as\n%+v", s, a, a, again)
	}
	return a
}

func names(uris []URI) string {
	var list []string
	for _, u := range uris {
		list = append(list, u.String())
	}
	return strings.Join(list, " ")
}

func TestParseAddressForms(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("http://a,", 5000), ",")
	tests := []struct{ name, in, uris, warning string }{
		{"parentheses", "failover:(http://a:1,http://b:2)", "http://a:1 http://b:2", ""},
		{"slashes", "failover://(http://a:1,http://b:2)", "http://a:1 http://b:2", ""},
		{"no parentheses", "failover:http://a:1,http://b:2", "http://a:1 http://b:2", ""},
		{"slashes, no parentheses", "failover://http://a:1,http://b:2", "http://a:1 http://b:2", ""},
		{"no parentheses, query of the last address", "failover:http://a:1,http://b:2?maxRequests=3", "http://a:1 http://b:2?maxRequests=3", ""},
		{"empty query", "failover:(http://a:1)?", "http://a:1", ""},
		{"empty list", "failover:()", "", ""},
		{"empty list with a source", "failover://()?updateURIsURL=file:///etc/backends", "", ""},
		{"balanced parentheses in a value", "failover:(http://a:1)?updateURIsURL=/etc/(list)", "http://a:1", ""},
		{"escaped parenthesis in a value", "failover:(http://a:1)?updateURIsURL=/etc/%28list", "http://a:1", ""},
		{"escaped question mark in a value", "failover:(http://a:1)?updateURIsURL=http://list/%3Fx=1", "http://a:1", ""},
		{"both spellings of one scheme", "failover:(tcp://a:1,http://b:2)", "http://a:1 http://b:2", ""},
		{"both spellings of one TLS scheme", "failover:(ssl://a:1,https://b:2)", "https://a:1 https://b:2", ""},
		{"unix", "failover:(unix//run/a.sock,unix:///run/b.sock)", "unix//run/a.sock unix//run/b.sock", ""},
		{"IPv6", "failover:(http://[::1]:1,http://[::2])", "http://[::1]:1 http://[::2]:80", ""},
		{"duplicate", "failover:(http://a,http://A:80,tcp://a:080/)", "http://a:80", "http://a:80 is listed twice"},
		{"duplicate, options of the first", "failover:(http://a?maxRequests=1,http://a?maxRequests=2)", "http://a:80?maxRequests=1", "the first one counts, with its options"},
		{"same host, other port", "failover:(http://a:1,http://a:2)", "http://a:1 http://a:2", ""},
		{"names are not resolved", "failover:(http://127.0.0.1:1,http://localhost:1)", "http://127.0.0.1:1 http://localhost:1", ""},
		{"unlisted priority address", "failover:(http://a:1)?priorityBackup=true&priorityURIs=http://b:2,http://a:1", "http://a:1 http://b:2", ""},
		{"unlisted priority address with options", "failover:(http://a:1)?priorityURIs=http://b:2%3FmaxRequests=5", "http://a:1 http://b:2?maxRequests=5", ""},
		{"priority address alone", "failover:()?priorityURIs=http://b:2", "http://b:2", ""},
		{"long", "failover:(" + many + ")", "http://a:80", "listed twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := parsed(t, tt.in)
			if got := names(a.URIs); got != tt.uris {
				t.Errorf("got addresses %q, want %q", got, tt.uris)
			}
			if got := strings.Join(a.Warnings, "\n"); tt.warning == "" && got != "" || !strings.Contains(got, tt.warning) {
				t.Errorf("got warnings %q, want %q", got, tt.warning)
			}
			if tt.name == "escaped question mark in a value" && a.Options.UpdateURIsURL != "http://list/?x=1" {
				t.Errorf("got updateURIsURL %s", a.Options.UpdateURIsURL)
			}
			for _, u := range a.Options.PriorityURIs {
				if u.Options != (URIOptions{}) {
					t.Errorf("options stay with the priority address %s", u)
				}
			}
		})
	}
}

func TestParseAddressErrors(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", "expecting failover:(http://HOST:PORT,...)"},
		{"nothing listed", "failover:", "failover:() says that"},
		{"nothing listed, slashes", "failover://", "failover:() says that"},
		{"blank", "failover:(http://a, http://b)", "blank"},
		{"leading blank", " failover:(http://a)", "blank"},
		{"line end", "failover:(http://a,\nhttp://b)", "line end"},
		{"escaped blank in an address", "failover:(http://a,%20http://b)", "percent escapes are for the values"},
		{"control character", "failover:(http://a\x01)", "control character"},
		{"fragment", "failover:(http://a)#x", "fragment"},
		{"no scheme", "http//a", "does not begin as one"},
		{"one backend", "http://a:1?maxRequests=1", "write failover:(http://a:1?maxRequests=1)"},
		{"capital scheme", "FAILOVER:(http://a)", "in lower case"},
		{"colon missing", "failover(http://a)", "the colon is missing"},
		{"static", "static:(tcp://a:1)", "failover:(...)"},
		{"discovery", "discovery:(multicast://default)", "dynamic srv"},
		{"masterslave", "masterslave:(tcp://a:1,tcp://b:1)", "randomize=false"},
		{"nested composite", "failover:(failover:(http://a),http://b)", "name the addresses of the inner list in the outer one"},
		{"nested discovery", "failover:(http://b,discovery:(multicast://default))", "dynamic srv"},
		{"nested list", "failover:(http://a,(http://b))", "name all addresses in one list"},
		{"parenthesis later", "failover:http://a,(http://b)", "name all addresses in one list"},
		{"not closed", "failover:(http://a", "is not closed"},
		{"not opened", "failover:http://a)", "was not opened"},
		{"wrong order", "failover:)http://a(", "was not opened"},
		{"too many closed", "failover:(http://a))", "was not opened"},
		{"unbalanced in a value", "failover:(http://a)?updateURIsURL=/x(", "write %28"},
		{"text after the list", "failover:(http://a)junk", `"junk" follows the list`},
		{"path after the list", "failover:(http://a)/?randomize=false", "follows the list"},
		{"second list", "failover:(http://a)(http://b)", `"(http://b)" follows the list`},
		{"question mark missing", "failover:(http://a)&maxReconnectAttempts=1", "do not begin with a question mark"},
		{"two question marks", "failover:(http://a)?randomize=false?backup=true", "two question marks"},
		{"two question marks in a row", "failover:(http://a)??randomize=false", "two question marks"},
		{"empty first address", "failover:(,http://a)", "address 1 of 2 is empty"},
		{"empty inner address", "failover:(http://a,,http://b)", "address 2 of 3 is empty"},
		{"empty last address", "failover:(http://a,)", "address 2 of 2 is empty"},
		{"mixed schemes", "failover:(http://a,https://b)", "http://a:80 and https://b:443 differ in their scheme"},
		{"mixed schemes by alias", "failover:(tcp://a,ssl://b)", "http://a:80 and https://b:443 differ"},
		{"mixed unix", "failover:(http://a,unix//run/x)", "differ in their scheme"},
		{"same host, other scheme", "failover:(http://a:1,h2c://a:1)", "differ in their scheme"},
		{"address without a scheme", "failover:(10.0.0.1:80)", `address "10.0.0.1:80": it has no scheme`},
		{"unknown option of an address", "failover:(http://a?bogus=1)", `unknown option "bogus"`},
		{"option of the pool without parentheses", "failover://tcp://a:1?randomize=false", "behind the parentheses of a list, failover:(...)?randomize="},
		{"unknown option", "failover:(http://a)?bogus=1", `unknown option "bogus": allowed are initialReconnectDelay`},
		{"unknown nested option", "failover:(http://a)?nested.bogus=1", `unknown option "nested.bogus"`},
		{"nested pool option", "failover:(http://a)?nested.randomize=true", "option of the pool"},
		{"twice nested", "failover:(http://a)?nested.nested.soTimeout=1", "unknown option"},
		{"case", "failover:(http://a)?TIMEOUT=1", "did you mean timeout"},
		{"snake case", "failover:(http://a)?max_reconnect_attempts=1", "did you mean maxReconnectAttempts"},
		{"escaped for XML", "failover:(http://a)?backup=true&amp;timeout=1", "did you mean timeout"},
		{"address option at the pool", "failover:(http://a)?soTimeout=1", "for all of them use nested.soTimeout, for one the query of the address"},
		{"not for addresses", "failover:(http://a)?affinity=pool", "in the block of lb_policy failover"},
		{"not for addresses, two words", "failover:(http://a)?reconnectJitter=0", "in the block of lb_policy failover"},
		{"reconnectDelay", "failover:(http://a)?reconnectDelay=5", "initialReconnectDelay"},
		{"transactions", "failover:(http://a)?trackTransactionProducers=true", "no transactions"},
		{"jms", "failover:(http://a)?jms.sendTimeout=5", "JMS"},
		{"discovered", "failover:(http://a)?discovered.soTimeout=5", "write nested.NAME"},
		{"second family's option", "failover:(http://a)?reconnectAttempts=5", "(uri,...)?ha=true"},
		{"no value", "failover:(http://a)?randomize", "has no value"},
		{"empty value", "failover:(http://a)?randomize=", "has no value"},
		{"empty option", "failover:(http://a)?backup=true&&timeout=1", "an option is empty"},
		{"option at the end empty", "failover:(http://a)?backup=true&", "an option is empty"},
		{"broken escape", "failover:(http://a)?backup=%t", "broken percent escape"},
		{"twice", "failover:(http://a)?backup=true&backup=true", "option backup is given twice"},
		{"twice, other case", "failover:(http://a)?backup=true&Backup=false", "options backup and Backup are the same"},
		{"twice, alias", "failover:(http://a)?reconnectDelayExponent=2&backOffMultiplier=3", "options reconnectDelayExponent and backOffMultiplier are the same"},
		{"twice nested option", "failover:(http://a)?nested.soTimeout=1&nested.soTimeout=1", "given twice"},
		{"contradiction", "failover:(http://a)?initialReconnectDelay=500&maxReconnectDelay=100", "initialReconnectDelay and maxReconnectDelay contradict each other"},
		{"contradiction to a default", "failover:(http://a)?initialReconnectDelay=30001", "raise maxReconnectDelay to at least 30.001s"},
		{"priority without a scheme", "failover:(http://a:1)?priorityURIs=a:1", "write http://a:1"},
		{"priority of another scheme", "failover:(http://a:1)?priorityURIs=https://a:1", "differ in their scheme"},
		{"priority twice", "failover:(http://a:1)?priorityURIs=http://a:1,tcp://A:1", "twice"},
		{"priority empty entry", "failover:(http://a:1)?priorityURIs=http://a:1,", "it is empty"},
		{"priority with options of its own", "failover:(http://a:1)?priorityURIs=http://a:1%3FmaxRequests=2", "give its options there"},
		{"priority mixed on its own", "failover:()?priorityURIs=http://a:1,https://b:1", "differ in their scheme"},
		{"password", "failover:(http://a,http://u:secret@b)", "user names and passwords"},
		{"password in a value", "failover:(http://a)?updateURIsURL=http://u:secret@b/", "user names and passwords"},
		{"deep", "failover:" + strings.Repeat("(", 100000), "is not closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := Parse(tt.in)
			if err == nil {
				t.Fatalf("got %v without an error", a)
			}
			if !strings.HasPrefix(err.Error(), "reading failover address: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a password: %v", err)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}
