// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/document"
)

// long is a body of so many bytes that are no JSON, and how many of them were read.
type long struct {
	left, read int64
}

func (l *long) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), l.left)
	for i := range p[:n] {
		p[i] = 'x'
	}
	l.left -= n
	l.read += n
	return int(n), nil
}

// TestBodiesAreBounded: what is longer than Caddy takes is refused for its length, and not
// read any further, by everything that changes the configuration; what is not, is not.
func TestBodiesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("its bodies have 100 MiB")
	}
	d, err := document.Parse([]byte(parityStart))
	if err != nil {
		t.Fatal(err)
	}
	o := &ours{serves: d}
	routes := map[string]caddy.AdminHandler{}
	for _, route := range append((&Admin{role: roleParent, logger: zap.NewNop()}).Routes(), configAPI{shown: func(context.Context) *document.Document { return o.Current() }, change: document.NewQueue(o).Do}.routes()...) {
		routes[route.Pattern] = route.Handler // those of a process that supervises come last
	}
	mux := http.NewServeMux()
	server := &http.Server{Handler: mux}
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handler.ServeHTTP(w, r.WithContext(withServer(r, server))); err != nil {
				answerAsCaddy(w, err)
			}
		})
	}
	for _, c := range []string{
		"POST /load",
		"POST /config/", "POST /config/apps", "PUT /config/apps/parity_anything/e", "PATCH /config/apps/parity_anything/a",
		"POST /id/one", "PUT /id/one/x", "PATCH /id/one",
	} {
		method, path, _ := strings.Cut(c, " ")
		for beyond, length := range []int64{maxBody, maxBody + 1, 4 * maxBody} {
			body := &long{left: length}
			r := httptest.NewRequest(method, "http://localhost"+path, body)
			r.Header.Set("Content-Type", "application/json")
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, r)
			tooLarge := strings.Contains(answer.Body.String(), new(http.MaxBytesError).Error())
			if tooLarge != (beyond > 0) || tooLarge && answer.Code != http.StatusBadRequest || answer.Code < 400 {
				t.Errorf("%s of %d bytes: %d %s", c, length, answer.Code, answer.Body)
			}
			// What reads it has a buffer, too.
			if body.read < maxBody || body.read > maxBody+64<<10 {
				t.Errorf("%s of %d bytes: %d were read", c, length, body.read)
			}
		}
	}
	if o.serves != d {
		t.Error("the configuration has changed")
	}
}

// TestRefusedWhileTooMuchWaits: the answer says so, and when to ask again.
func TestRefusedWhileTooMuchWaits(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"full": &document.Error{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("%w: 3", document.ErrFull)},
		"else": errors.New("something else"),
	} {
		o := new(ours)
		o.serves, _ = document.Parse([]byte(parityStart))
		api := configAPI{shown: func(context.Context) *document.Document { return o.Current() }, change: func(context.Context, document.Request) error { return err }}
		answer := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodDelete, "http://localhost/config/apps", nil)
		answerAsCaddy(answer, api.serve(answer, r))
		full := name == "full"
		if got := answer.Header().Get("Retry-After"); (answer.Code == http.StatusServiceUnavailable) != full || (got == "1") != full ||
			!strings.Contains(answer.Body.String(), err.Error()) {
			t.Errorf("%s: %d %s, Retry-After %q", name, answer.Code, answer.Body, got)
		}
	}
}
