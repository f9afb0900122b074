// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Handler serves the page at any path: it knows itself by relative links only.
type Handler struct {
	// ReadOnly leaves out every operation, and refuses it.
	ReadOnly bool
	// Events is the address of the events, relative to the page.
	Events string
	// User names who asks; empty is not known.
	User string
}

// maxForm bounds what a form may send, in bytes.
const maxForm = 64 << 10

// maxUser bounds the name of an operator, in bytes.
const maxUser = 64

// foreign refuses what another site makes a browser send.
var foreign = http.NewCrossOriginProtection()

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	var err error
	switch {
	case foreign.Check(r) != nil:
		err = fail(w, http.StatusForbidden, "Refused", "Another site asked for that. Open the console itself, and press the button there.")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		err = h.show(w, r)
	case r.Method == http.MethodPost && h.ReadOnly:
		err = fail(w, http.StatusForbidden, "Refused", "This console is read only.")
	case r.Method == http.MethodPost:
		err = h.operate(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		err = fail(w, http.StatusMethodNotAllowed, "Refused", "The console is shown with GET, and operated with POST.")
	}
	if err != nil {
		http.Error(w, "drawing the console: "+plain.Line(err.Error(), maxText), http.StatusInternalServerError)
	}
}

func fail(w http.ResponseWriter, status int, title, text string) error {
	return write(w, status, title+" – broker console", "failed", false, struct{ Title, Text string }{title, plain.Text(text, maxLong)})
}

// show is the page itself, or the question before an operation.
func (h Handler) show(w http.ResponseWriter, r *http.Request) error {
	s, err := take(r.Context())
	if err != nil {
		return fail(w, http.StatusBadGateway, "The broker does not answer", err.Error())
	}
	q := r.URL.Query()
	if name := q.Get("op"); name != "" && !h.ReadOnly {
		t := target{q.Get("child"), q.Get("pool"), q.Get("uri")}
		o, err := h.wanted(s, name, t)
		if err != nil {
			return fail(w, http.StatusNotFound, "There is nothing to do", err.Error())
		}
		question := fmt.Sprintf(o.Title, short(o.On(t)))
		return write(w, http.StatusOK, question+" – broker console", "confirm", false, struct {
			Question  string
			Operation *operation
			Target    target
			Cuts      []string
		}{question, o, t, o.cuts(s, t)})
	}
	p := &page{snapshot: s, ReadOnly: h.ReadOnly, Stream: h.Events}
	if o := find(q.Get("done")); o != nil {
		p.Done = o.Done
		if q.Has("going") {
			p.Done += " It is under way."
		}
	}
	title := "OK"
	if !s.AllRight {
		title = "NOT all right"
	}
	return write(w, http.StatusOK, title+" – broker console", "page", true, p)
}

// errGone says that what an operation is about is not there.
var errGone = errors.New("what this is about is not there any more: look at the console again")

// wanted finds an operation, whose target must be one that there is.
func (h Handler) wanted(s *snapshot, name string, t target) (*operation, error) {
	o := find(name)
	if o == nil {
		return nil, fmt.Errorf("there is no operation %q", short(name))
	}
	if o.on == onChild && s.child(t.Child) != nil {
		return o, nil
	}
	for _, p := range s.Pools {
		switch {
		case o.on == onChild || p.Name != t.Pool:
		case o.on == onPool, slices.ContainsFunc(p.Upstreams, func(u report.UpstreamStatus) bool { return u.URI == t.URI }):
			return o, nil
		}
	}
	return nil, errGone
}

// operate carries out what a form asks for, and then shows the page.
func (h Handler) operate(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fail(w, http.StatusBadRequest, "Refused", err.Error())
	}
	s, err := take(r.Context())
	if err != nil {
		return fail(w, http.StatusBadGateway, "The broker does not answer", err.Error())
	}
	t := target{r.PostForm.Get("child"), r.PostForm.Get("pool"), r.PostForm.Get("uri")}
	o, err := h.wanted(s, r.PostForm.Get("op"), t)
	if err != nil {
		return fail(w, http.StatusNotFound, "There is nothing to do", err.Error())
	}
	by := "the console"
	if h.User != "" {
		by = plain.Line(h.User, maxUser) + " (console)"
	}
	done, err := o.run(t, by)
	if err != nil {
		status := http.StatusBadGateway
		if said, ok := errors.AsType[*refusal](err); ok {
			status = said.status
		}
		return fail(w, status, "It could not be done", err.Error())
	}
	to := "?done=" + o.Name
	if !done {
		to += "&going"
	}
	// Not http.Redirect, which would make the path a part of it: the page may be behind
	// another server, which has another path for it.
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
