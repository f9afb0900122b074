// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net"
	"slices"
	"strings"
	"testing"
)

// told is an event of a stream.
type told struct{ event, data string }

// eventsIn reads a whole stream in the plainest way.
func eventsIn(text string) (all []told) {
	var now told
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if slices.Contains([]string{"uris", "rebalance", "reconnect"}, now.event) {
				all = append(all, now)
			}
			now = told{}
		case name == "event":
			now.event = value
		case name == "data":
			now.data += value + "\n"
		}
	}
	return all
}

// FuzzFollow: whatever a backend streams, exactly the events that are ours are
// passed on, whole and in their order.
func FuzzFollow(f *testing.F) {
	for _, s := range []string{
		"event: uris\ndata: http://a:1\ndata: http://b:2\n\n", "event:uris\r\ndata:x\r\n\r\n: comment\n\nevent: rebalance\n\n",
		"data: lost\n\nevent: other\ndata: x\n\nevent: reconnect\ndata\n\n", "event: uris\ndata: no end\n", "event: uris\r\r\n\r\r\n\n", "event: uris\n\r", "\n\n:\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := eventsIn(text)
		if len(want) > streamBurst || len(text) > maxStreamLine {
			return // that is slowed down, or refused
		}
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		var got []told
		err := follow(t.Context(), client, strings.NewReader(text), func(event string, data []byte) {
			got = append(got, told{event, string(data)})
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q: got %q (%v), want %q", text, got, err, want)
		}
	})
}
