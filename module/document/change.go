// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Change is a request that changes a part of a document.
type Change struct {
	// Method is POST, PUT, PATCH or DELETE.
	Method string
	// Path begins with /config/.
	Path string
	// Body is JSON; nothing is null.
	Body []byte
	// IfMatch is the ETag of what the change was made from; empty is whatever is there.
	IfMatch string
}

// apply makes a document in which the change is made, which is not sealed yet.
func (d *Document) apply(c *Change) (*Document, error) {
	if c.IfMatch != "" {
		if err := d.match(c.IfMatch); err != nil {
			return nil, err
		}
	}
	value, err := decode(c.Body)
	if err != nil {
		return nil, err
	}
	a, err := newAccess(c.Method, c.Path, value)
	if err != nil {
		return nil, err
	}
	tree, err := a.through(d.tree, 0)
	if err != nil {
		return nil, err
	}
	changed, _ := tree.(map[string]any)
	return &Document{Source: d.Source, tree: changed}, nil
}

// Get is what the document has at a path, encoded, and its ETag.
func (d *Document) Get(path string) (text []byte, etag string, err error) {
	text, err = d.read(path)
	if err != nil {
		return nil, "", &Error{badRequest, err}
	}
	return text, fmt.Sprintf(`"%s %s"`, path, sum(text)), nil
}

func (d *Document) read(path string) ([]byte, error) {
	a, err := newAccess(http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	if _, err := a.through(d.tree, 0); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, v := range a.found {
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			return nil, fmt.Errorf("encoding config: %w", err)
		}
	}
	return out.Bytes(), nil
}

// sum is the hash in an ETag.
func sum(text []byte) string {
	hash := xxhash.New()
	_, _ = hash.Write(text)
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// match reports whether the document has what an If-Match header wants.
func (d *Document) match(header string) error {
	inner, quoted := strings.CutPrefix(header, `"`)
	inner, ends := strings.CutSuffix(inner, `"`)
	if !quoted || !ends {
		return &Error{badRequest, errors.New("malformed If-Match header; expect quoted string")}
	}
	parts := strings.Fields(inner)
	if len(parts) != 2 {
		return &Error{badRequest, errors.New(`malformed If-Match header; expect format "<path> <hash>"`)}
	}
	text, err := d.read(parts[0])
	if err != nil {
		return err
	}
	if sum(text) != parts[1] {
		return &Error{http.StatusPreconditionFailed, errors.New("If-Match header did not match current config hash")}
	}
	return nil
}
