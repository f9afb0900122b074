// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"net/http"
	"net/http/httptest"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/pflag"
)

// TestLongAnswerIsCut: whatever answers at the address that was given, the command does
// not read it for ever.
func TestLongAnswerIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("the answer has 64 MiB")
	}
	chunk, sent := make([]byte, 1<<20), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			n, err := w.Write(chunk)
			if sent += n; err != nil {
				return
			}
		}
	}))
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.String("address", server.Listener.Addr().String(), "")
	flags.String("config", "", "")
	flags.String("adapter", "", "")
	answer, err := get(caddycmd.Flags{FlagSet: flags}, "/broker/")
	if err != nil || len(answer) != maxBody {
		t.Errorf("%d bytes, %v; want %d", len(answer), err, maxBody)
	}
	server.CloseClientConnections()
	server.Close() // when nothing is sent any more
	if sent < maxBody || sent > maxBody+32<<20 {
		t.Errorf("%d bytes were sent, want hardly more than %d", sent, maxBody)
	}
}
