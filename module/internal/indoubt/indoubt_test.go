// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package indoubt

import (
	"strconv"
	"strings"
	"testing"
)

// Whoever reads the list learns nothing that a query of a request, or of what was
// made of it for the backend, may hold.
func TestNoQueryIsKept(t *testing.T) {
	for reason, want := range map[string]string{
		`connection_terminated: Post "http://10.0.0.1:80/order?token=secret&x=1": EOF`: `connection_terminated: Post "http://10.0.0.1:80/order": EOF`,
		"proxy_internal_error: sending /order?secret to the backend":                   "proxy_internal_error: sending /order to the backend",
		"connection_terminated: EOF":                                                   "connection_terminated: EOF",
	} {
		var l Ledger
		l.Add(Record{Reason: reason})
		if got := l.List()[0].Reason; got != want {
			t.Errorf("kept %q, want %q", got, want)
		}
	}
}

func TestLedgerIsBounded(t *testing.T) {
	var l Ledger
	for i := range Kept + 5 {
		l.Add(Record{RequestID: strconv.Itoa(i), Path: strings.Repeat("é", MaxText)})
	}
	list := l.List()
	if len(list) != Kept || list[0].RequestID != "5" || list[Kept-1].RequestID != strconv.Itoa(Kept+4) {
		t.Errorf("%d are kept, from %s to %s", len(list), list[0].RequestID, list[len(list)-1].RequestID)
	}
	if n := len(list[0].Path); n > MaxText+len("...") {
		t.Errorf("a text of %d bytes is kept", n)
	}
}

func TestHashKey(t *testing.T) {
	// The digest is that of FIPS 180-2, appendix B.1.
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if got := HashKey("abc"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := HashKey(""); got != "" {
		t.Errorf("no key has the hash %s", got)
	}
}
