// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// rootKey is where the configuration is in the tree that paths walk: they begin with it.
const rootKey = "config"

// Document is a configuration as its user wrote it. The zero value is none at all. It
// is not changed once made, so that it may be read by anyone.
type Document struct {
	// Source is the file that it came from; nil is unknown.
	Source *Source
	// By is who, or what, has made it serve, as far as the request said.
	By string

	// tree holds the configuration at rootKey; without it there was one, and it was deleted.
	tree map[string]any

	// Of a document that was sealed:
	text []byte
	ids  map[string]string // paths by id
}

// Source is where a configuration came from.
type Source struct {
	// File is the path of the adapted file.
	File string `json:"file"`
	// Adapter is the adapter's name.
	Adapter string `json:"adapter"`
}

// Parse reads a whole configuration. Nothing at all is one that is null.
func Parse(text []byte) (*Document, error) {
	value, err := decode(text)
	if err != nil {
		return nil, err
	}
	return New(value)
}

// New makes a document of a decoded configuration, which must not be changed any more.
func New(config any) (*Document, error) {
	d := &Document{tree: map[string]any{rootKey: config}}
	return d, d.seal()
}

// decode reads the body of a request.
func decode(body []byte) (value any, err error) {
	if len(body) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(body, &value); err != nil {
		//nolint:errorlint // it is what Unmarshal returns
		if syntax, ok := err.(*json.SyntaxError); ok {
			return nil, fmt.Errorf("decoding request body: %w, at offset %d", syntax, syntax.Offset)
		}
		return nil, fmt.Errorf("decoding request body: %w", err)
	}
	return value, nil
}

// seal makes a document complete that a change has made: its text and its ids.
func (d *Document) seal() error {
	if d.text != nil {
		return nil
	}
	text, err := json.Marshal(d.Config())
	if err != nil {
		return &Error{Status: badRequest, Err: fmt.Errorf("encoding new config: %w", err)}
	}
	ids := index{paths: make(map[string]string), at: []string{"/" + rootKey}}
	if err := ids.add(d.Config()); err != nil {
		return &Error{Status: badRequest, Err: fmt.Errorf("indexing config: %w", err)}
	}
	d.text, d.ids = text, ids.paths
	return nil
}

// Config is the configuration, decoded. It must not be changed.
func (d *Document) Config() any { return d.tree[rootKey] }

// JSON is the configuration's text. It must not be changed.
func (d *Document) JSON() []byte { return d.text }

// Path is that of the object with an id, from its beginning /config/.
func (d *Document) Path(id string) (string, bool) {
	path, ok := d.ids[id]
	return path, ok
}

// From is d with another source.
func (d *Document) From(source *Source) *Document {
	other := *d
	other.Source = source
	return &other
}

// same reports whether nothing of d differs from o.
func (d *Document) same(o *Document) bool {
	if o == nil || (d.Source == nil) != (o.Source == nil) || d.Source != nil && *d.Source != *o.Source {
		return false
	}
	return bytes.Equal(d.text, o.text)
}

const badRequest = 400

// Error is a refusal with the HTTP status that Caddy's endpoint gives it.
type Error struct {
	Status int
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }
