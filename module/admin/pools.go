// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/module/proxy"
)

// poolsChild is the child that has the pools, when they are not in this process.
func poolsChild() *broker.Hosted {
	if child.Supervised() {
		return nil
	}
	return broker.Find(broker.DefaultChild)
}

func poolStatuses() []report.PoolStatus {
	out := []report.PoolStatus{}
	for _, p := range proxy.List() {
		out = append(out, p.Status())
	}
	return out
}

// adminPool answers for /broker/pools… and /broker/in-doubt, by way of the child
// that has the pools, if there is one.
func adminPool(w http.ResponseWriter, r *http.Request, parts []string) error {
	c := poolsChild()
	if parts[0] == "in-doubt" {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		list := proxy.Doubts()
		if c != nil {
			list = broker.Doubts()
		}
		if list == nil {
			list = []indoubt.Record{}
		}
		return answer(w, http.StatusOK, list)
	}
	if c != nil {
		return forward(c, w, r, r.URL.Path)
	}
	if parts[0] != "pools" {
		if len(parts) > 1 {
			return failure(http.StatusNotFound, "no resource %q of %s", strings.Join(parts[1:], "/"), parts[0])
		}
		return adminDrain(w, r, parts[0])
	}
	if len(parts) == 1 {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, poolStatuses())
	}
	list := proxy.List()
	i := slices.IndexFunc(list, func(p proxy.Pool) bool { return p.Name == parts[1] })
	if i < 0 {
		var names []string
		for _, p := range list {
			names = append(names, p.Name)
		}
		return failure(http.StatusNotFound, "no pool %q: %s", parts[1], alternatives(names))
	}
	p := list[i]
	if len(parts) == 2 {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, p.Status())
	}
	err := kept(r.Context(), func() error { return operate(p, r, strings.Join(parts[2:], "/")) })
	if err != nil {
		return poolFailure(err)
	}
	return answer(w, http.StatusOK, p.Status())
}

// adminDrain answers for /broker/drain and /broker/resume: a decision about an
// address, for every pool.
func adminDrain(w http.ResponseWriter, r *http.Request, operation string) error {
	if err := method(r, http.MethodPost); err != nil {
		return err
	}
	uri := r.URL.Query().Get("uri")
	if uri == "" {
		return failure(http.StatusBadRequest, "%s: parameter uri is missing", operation)
	}
	var have []proxy.Pool
	err := kept(r.Context(), func() (err error) {
		have, err = drainEverywhere(uri, operation == "drain", operator(r))
		return err
	})
	if err != nil {
		return poolFailure(err)
	}
	list := make([]report.PoolStatus, 0, len(have))
	for _, p := range have {
		list = append(list, p.Status())
	}
	return answer(w, http.StatusOK, list)
}

// drainEverywhere carries out a decision about an address for every pool, and
// returns those that have it.
func drainEverywhere(text string, drained bool, by string) (have []proxy.Pool, err error) {
	var known []string
	names := make(map[string]proxy.Pool) // of the address: one, unless schemes differ
	for _, p := range proxy.List() {
		u, bad := addressIn(p, text) // a dial address is read by the pools that have it
		if err = bad; err == nil {
			if m, unknown := p.Find(u); unknown == nil {
				have = append(have, p)
				names[m.Name] = p
			}
		}
		for _, m := range p.Members() {
			known = append(known, m.Name)
		}
	}
	if len(have) == 0 && err != nil {
		return nil, err
	}
	if len(have) == 0 {
		slices.Sort(known)
		return nil, failure(http.StatusNotFound, "no pool has address %q: %s", text, alternatives(slices.Compact(known)))
	}
	for name, p := range names {
		p.DrainEverywhere(name, drained, by)
	}
	return have, nil
}

// maxOperator bounds the name of an operator, in bytes.
const maxOperator = 128

// operator is who asks for an operation, as the request says.
func operator(r *http.Request) string {
	return cmp.Or(plain.Line(r.URL.Query().Get("by"), maxOperator), "the admin API")
}

// kept carries out an operation on pools. In a supervised child it returns when
// the parent has its effect, so that nothing that follows undoes it.
func kept(ctx context.Context, operation func() error) error {
	if err := child.AwaitActive(ctx); err != nil {
		return err
	}
	if err := operation(); err != nil {
		return err
	}
	if err := child.Flush(ctx); err != nil {
		return failure(http.StatusServiceUnavailable, "the operation may be lost, because its process is being replaced: repeat it (%w)", err)
	}
	return nil
}

// alternatives says what there is instead of what was asked for.
func alternatives(names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	return "there are " + strings.Join(names, ", ")
}

// operate carries out one of the operations on a pool.
func operate(p proxy.Pool, r *http.Request, operation string) error {
	if operation != "uris" {
		if err := method(r, http.MethodPost); err != nil {
			return err
		}
	}
	q := r.URL.Query()
	switch operation {
	case "failover":
		if !q.Has("to") {
			return p.Failover(nil)
		}
		to, err := addressIn(p, q.Get("to"))
		if err != nil {
			return err
		}
		return p.Failover(&to)
	case "failback":
		return p.Failback()
	case "rebalance":
		p.Rebalance()
		return nil
	case "drain", "resume":
		if q.Get("uri") == "" {
			return failure(http.StatusBadRequest, "%s of pool %q: parameter uri is missing", operation, p.Name)
		}
		uri, err := addressIn(p, q.Get("uri"))
		if err != nil {
			return err
		}
		return p.Drain(uri, operation == "drain", operator(r))
	case "uris":
		return changeURIs(p, r)
	}
	return failure(http.StatusNotFound, "no operation %q of pool %q: there are failover, failback, drain, resume, rebalance, uris", operation, p.Name)
}

// addressIn reads an address as users write it: with its scheme, or just host and
// port of a member.
func addressIn(p proxy.Pool, text string) (address.URI, error) {
	for _, m := range p.Members() {
		if m.Name == text || m.URI.Dial() == text {
			return m.URI, nil
		}
	}
	uri, err := address.ParseURI(text)
	if err != nil {
		return uri, apiError{http.StatusBadRequest, err}
	}
	return uri, nil
}

// maxURIsBody bounds the body of a request that changes addresses.
const maxURIsBody = 1 << 20

// changeURIs adds or removes addresses.
func changeURIs(p proxy.Pool, r *http.Request) error {
	if err := method(r, http.MethodPost, http.MethodDelete); err != nil {
		return err
	}
	var body struct {
		URIs      []string `json:"uris"`
		Rebalance bool     `json:"rebalance"`
	}
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxURIsBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(&body)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF { //nolint:errorlint // decoders return it itself
			err = nil
		} else if err == nil {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		return failure(status, `reading addresses of pool %q: %w; the body is {"uris": ["http://host:port", …], "rebalance": false}`, p.Name, err)
	}
	if len(body.URIs) == 0 {
		return failure(http.StatusBadRequest, "changing addresses of pool %q: uris is empty", p.Name)
	}
	if n := len(body.URIs); n > address.MaxListAddresses {
		return failure(http.StatusRequestEntityTooLarge, "changing addresses of pool %q: %d are too many, at most %d at once", p.Name, n, address.MaxListAddresses)
	}
	uris := make([]address.URI, 0, len(body.URIs))
	for _, text := range body.URIs {
		uri, err := address.ParseURI(text)
		if err != nil {
			return apiError{http.StatusBadRequest, err}
		}
		uris = append(uris, uri)
	}
	if r.Method == http.MethodPost {
		_, err = p.AddURIs(uris, body.Rebalance)
	} else {
		_, err = p.RemoveURIs(uris)
		if err == nil && body.Rebalance {
			p.Rebalance()
		}
	}
	return err
}

// poolFailure gives an error of a pool its status.
func poolFailure(err error) error {
	if _, ok := errors.AsType[apiError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*failover.UnknownError](err); ok {
		return apiError{http.StatusNotFound, err}
	}
	return apiError{http.StatusConflict, err}
}
