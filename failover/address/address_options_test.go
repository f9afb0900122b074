// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every option that an address can give, with values it takes, what they set,
// and values it refuses.
var addressOptionTests = []struct {
	option  string
	valid   map[string]func(*Options) // text to the change from the defaults
	invalid []string
}{
	{
		"initialReconnectDelay",
		map[string]func(*Options){
			"10":    func(*Options) {},
			"0":     func(o *Options) { o.InitialReconnectDelay = 0 },
			"00250": func(o *Options) { o.InitialReconnectDelay = 250 * time.Millisecond },
		},
		[]string{"-1", "-5", "1s", "1.5", "9223372036855", "99999999999999999999", "+5", "ten", "0x10"},
	},
	{
		"maxReconnectDelay",
		map[string]func(*Options){
			"30000": func(o *Options) { o.MaxReconnectDelaySet = true },
			"500":   func(o *Options) { o.MaxReconnectDelay, o.MaxReconnectDelaySet = 500*time.Millisecond, true },
		},
		[]string{"-1", "1m", "9223372036855"},
	},
	{
		"useExponentialBackOff",
		map[string]func(*Options){"true": func(*Options) {}, "false": func(o *Options) { o.UseExponentialBackOff = false }},
		[]string{"TRUE", "True", "yes", "1", "on", "maybe"},
	},
	{
		"reconnectDelayExponent",
		map[string]func(*Options){
			"2.0": func(*Options) {},
			"1":   func(o *Options) { o.ReconnectDelayExponent = 1 },
			"1.5": func(o *Options) { o.ReconnectDelayExponent = 1.5 },
		},
		[]string{"0.99", "0", "-2", "NaN", "Inf", "1e3", "2,0", ".", "0x2", "1" + strings.Repeat("0", 400)},
	},
	{
		"backOffMultiplier",
		map[string]func(*Options){"3": func(o *Options) { o.ReconnectDelayExponent = 3 }},
		[]string{"0.5"},
	},
	{
		"maxReconnectAttempts",
		map[string]func(*Options){
			"-1": func(*Options) {},
			"0":  func(o *Options) { o.MaxReconnectAttempts, o.StartupMaxReconnectAttempts = 0, 0 },
			"5":  func(o *Options) { o.MaxReconnectAttempts, o.StartupMaxReconnectAttempts = 5, 5 },
		},
		[]string{"-2", "1.0", "99999999999999999999", "--1", "-", "infinite"},
	},
	{
		"startupMaxReconnectAttempts",
		map[string]func(*Options){
			"-1": func(o *Options) { o.StartupMaxReconnectAttemptsSet = true },
			"0":  func(o *Options) { o.StartupMaxReconnectAttempts, o.StartupMaxReconnectAttemptsSet = 0, true },
			"7":  func(o *Options) { o.StartupMaxReconnectAttempts, o.StartupMaxReconnectAttemptsSet = 7, true },
		},
		[]string{"-2", "x"},
	},
	{
		"randomize",
		map[string]func(*Options){"true": func(*Options) {}, "false": func(o *Options) { o.Randomize = false }},
		[]string{"maybe", "0"},
	},
	{
		"priorityBackup",
		map[string]func(*Options){"false": func(*Options) {}, "true": func(o *Options) { o.PriorityBackup = true }},
		[]string{"t"},
	},
	{
		"priorityURIs",
		map[string]func(*Options){
			"http://b:2": func(o *Options) { o.PriorityURIs = []URI{{Scheme: "http", Host: "b", Port: "2"}} },
			"tcp://B:2,http://a": func(o *Options) {
				o.PriorityURIs = []URI{{Scheme: "http", Host: "b", Port: "2"}, {Scheme: "http", Host: "a", Port: "80"}}
			},
			"http%3A%2F%2Fb%3A02": func(o *Options) { o.PriorityURIs = []URI{{Scheme: "http", Host: "b", Port: "2"}} },
		},
		[]string{"b:2", ",http://b:2", "http://b:2,", "ftp://b", "http://b:2/x", "http://b:2,http://b:2", "first"},
	},
	{
		"backup",
		map[string]func(*Options){"false": func(*Options) {}, "true": func(o *Options) { o.Backup = true }},
		[]string{"2"},
	},
	{
		"backupPoolSize",
		map[string]func(*Options){"1": func(*Options) {}, "2": func(o *Options) { o.BackupPoolSize = 2 }},
		[]string{"0", "-1"},
	},
	{
		"timeout",
		map[string]func(*Options){
			"-1":   func(o *Options) { o.TimeoutSet = true },
			"3000": func(o *Options) { o.Timeout, o.TimeoutSet = 3*time.Second, true },
		},
		[]string{"0", "-2", "3s", "-01"},
	},
	{
		"trackMessages",
		map[string]func(*Options){"true": func(o *Options) { o.TrackMessages = true }},
		[]string{"all"},
	},
	{
		"maxCacheSize",
		map[string]func(*Options){
			"131072":     func(*Options) {},
			"0":          func(o *Options) { o.MaxCacheSize = 0 },
			"8589934592": func(o *Options) { o.MaxCacheSize = 8 << 30 },
		},
		[]string{"-1", "128KiB", "99999999999999999999"},
	},
	{
		"updateURIsSupported",
		map[string]func(*Options){"false": func(o *Options) { o.UpdateURIsSupported = false }},
		[]string{"no"},
	},
	{
		"updateURIsURL",
		map[string]func(*Options){
			"/etc/backends":        func(o *Options) { o.UpdateURIsURL = "/etc/backends" },
			"./a:b":                func(o *Options) { o.UpdateURIsURL = "./a:b" },
			"backends.txt":         func(o *Options) { o.UpdateURIsURL = "backends.txt" },
			"file:///etc/backends": func(o *Options) { o.UpdateURIsURL = "file:///etc/backends" },
			"https://a:8443/x%3Fy": func(o *Options) { o.UpdateURIsURL = "https://a:8443/x?y" },
			"C:%5Cbackends.txt":    func(o *Options) { o.UpdateURIsURL = `C:\backends.txt` },
		},
		[]string{"ftp://a/x", "file://host/x", "http://", "http://%2523", "http://a/%23x", "file:///x%3Fy=1", "http://[::1", "://x", "http:/a", "file:/etc/x", "ftp:x"},
	},
	{
		"rebalanceUpdateURIs",
		map[string]func(*Options){"false": func(o *Options) { o.RebalanceUpdateURIs = false }},
		[]string{"-1"},
	},
	{
		"reconnectSupported",
		map[string]func(*Options){"false": func(o *Options) { o.ReconnectSupported = false }},
		[]string{"never"},
	},
	{
		"warnAfterReconnectAttempts",
		map[string]func(*Options){
			"10": func(*Options) {},
			"0":  func(o *Options) { o.WarnAfterReconnectAttempts = 0 },
			"-5": func(o *Options) { o.WarnAfterReconnectAttempts = -5 },
		},
		[]string{"1.5", "many"},
	},
	{
		"nested.maxRequests",
		map[string]func(*Options){"0": func(o *Options) { o.Nested.MaxRequests = new(0) }, "9": func(o *Options) { o.Nested.MaxRequests = new(9) }},
		[]string{"-1"},
	},
	{
		"nested.connectionTimeout",
		map[string]func(*Options){"250": func(o *Options) { o.Nested.ConnectionTimeout = new(250 * time.Millisecond) }},
		[]string{"0", "-1"},
	},
	{
		"nested.soTimeout",
		map[string]func(*Options){"0": func(o *Options) { o.Nested.SoTimeout = new(time.Duration(0)) }},
		[]string{"-1"},
	},
	{
		"nested.wireFormat.maxInactivityDuration",
		map[string]func(*Options){"1000": func(o *Options) { o.Nested.MaxInactivityDuration = new(time.Second) }},
		[]string{"-1", "1s"},
	},
}

func TestAddressOptions(t *testing.T) {
	tested := make(map[string]bool)
	for _, tt := range addressOptionTests {
		tested[tt.option] = true
		for text, change := range tt.valid {
			t.Run(tt.option+"="+text, func(t *testing.T) {
				want := DefaultOptions()
				change(&want)
				for _, name := range []string{tt.option, strings.ToUpper(tt.option[:1]) + tt.option[1:]} {
					if name != tt.option && strings.HasPrefix(tt.option, "nested.") {
						continue // the prefix is no option
					}
					a := parsed(t, "failover:(http://a,http://b:2)?"+name+"="+text)
					if !reflect.DeepEqual(a.Options, want) {
						t.Errorf("%s: got\n%+v, want\n%+v", name, a.Options, want)
					}
					if len(a.Given) != 1 {
						t.Errorf("%s: got %q as given", name, a.Given)
					}
				}
			})
		}
		for _, text := range tt.invalid {
			t.Run(tt.option+"="+text, func(t *testing.T) {
				a, err := Parse("failover:(http://a,http://b:2)?" + tt.option + "=" + text)
				if err == nil {
					t.Fatalf("got %+v without an error", a.Options)
				}
				if !strings.Contains(err.Error(), "option "+tt.option) {
					t.Errorf("the error does not name the option: %v", err)
				}
			})
		}
	}
	for _, name := range addressNames(ScopePool) {
		if !tested[name] {
			t.Errorf("option %s has no test", name)
		}
	}
}

func TestAddressGiven(t *testing.T) {
	a := parsed(t, "failover:(http://a)?timeout=5&nested.soTimeout=1&backOffMultiplier=3&initialReconnectDelay=10")
	want := []string{"initial_reconnect_delay", "reconnect_delay_exponent", "timeout", "nested.so_timeout"}
	if !reflect.DeepEqual(a.Given, want) {
		t.Errorf("got %q, want %q", a.Given, want)
	}
}

func TestSecondFamily(t *testing.T) {
	const nothing = "nothing fails over"
	tests := []struct {
		query   string
		change  func(*Options)
		warning string
	}{
		{"", func(o *Options) {}, nothing},
		{"?", func(o *Options) {}, nothing},
		{"?ha=true", func(o *Options) {}, nothing},
		{"?reconnectAttempts=3", func(o *Options) {}, nothing},
		{"?ha=false&reconnectAttempts=3", func(o *Options) {}, nothing},
		{"?ha=true&reconnectAttempts=0", func(o *Options) {}, nothing},
		{"?ha=true&reconnectAttempts=-1", func(o *Options) {}, nothing},
		{"?ha=true&reconnectAttempts=3", func(o *Options) { o.MaxReconnectAttempts = 3 }, ""},
		{"?reconnectAttempts=3&ha=true&initialConnectAttempts=0", func(o *Options) { o.MaxReconnectAttempts = 3 }, ""},
		{"?ha=true&reconnectAttempts=3&initialConnectAttempts=-1", func(o *Options) { o.MaxReconnectAttempts, o.StartupMaxReconnectAttempts = 3, -1 }, ""},
		{
			"?ha=true&reconnectAttempts=3&initialConnectAttempts=2&retryInterval=100&retryIntervalMultiplier=1.0&maxRetryInterval=2000",
			func(o *Options) {
				o.MaxReconnectAttempts, o.StartupMaxReconnectAttempts = 3, 2
				o.InitialReconnectDelay, o.ReconnectDelayExponent = 100*time.Millisecond, 1
				o.MaxReconnectDelay, o.MaxReconnectDelaySet = 2*time.Second, true
			}, "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			want := DefaultOptions()
			want.MaxReconnectAttempts = 0
			want.StartupMaxReconnectAttempts, want.StartupMaxReconnectAttemptsSet = 1, true
			tt.change(&want)
			a := parsed(t, "(tcp://a:1,tcp://b:2)"+tt.query)
			if names(a.URIs) != "http://a:1 http://b:2" || !reflect.DeepEqual(a.Options, want) {
				t.Errorf("got %s with\n%+v, want\n%+v", names(a.URIs), a.Options, want)
			}
			if got := strings.Join(a.Warnings, "\n"); tt.warning == "" && got != "" || !strings.Contains(got, tt.warning) {
				t.Errorf("got warnings %q, want %q", got, tt.warning)
			}
		})
	}
}

func TestSecondFamilyErrors(t *testing.T) {
	tests := []struct{ query, want string }{
		{"?ha=yes", "option ha: value \"yes\" is not allowed: expecting true or false"},
		{"?ha=true&ha=true", "option ha is given twice"},
		{"?reconnectAttempts=-2", "option reconnectAttempts"},
		{"?reconnectAttempts=x", "option reconnectAttempts"},
		{"?initialConnectAttempts=-2", "option initialConnectAttempts"},
		{"?retryInterval=-1", "option retryInterval"},
		{"?retryInterval=1s", "whole milliseconds"},
		{"?retryIntervalMultiplier=0.5", "option retryIntervalMultiplier"},
		{"?maxRetryInterval=-1", "option maxRetryInterval"},
		{"?retryInterval=2000&maxRetryInterval=100", "options retryInterval and maxRetryInterval contradict"},
		{"?HA=true", "did you mean ha"},
		{"?randomize=false", "goes with failover:(uri,...)?randomize"},
		{"?nested.soTimeout=1", "goes with failover:(uri,...)"},
		{"?callTimeout=1", "allowed are ha, reconnectAttempts"},
		{"&ha=true", "question mark"},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			a, err := Parse("(tcp://a:1,tcp://b:2)" + tt.query)
			if err == nil {
				t.Fatalf("got %v without an error", a)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}
