// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// spreadPart at the end of a path makes a POST append the elements of an array to the
// one that the path names, instead of the array itself.
const spreadPart = "..."

// access is one walk through a tree: to read, or to make another tree in which
// something differs. What it does where is Caddy's to say, oddities included: tools
// were written against them.
type access struct {
	method string
	path   string // as it was asked for
	parts  []string
	spread bool
	value  any // what is to be there

	found []any // what a read has found: one value, or none
}

func newAccess(method, path string, value any) (*access, error) {
	trimmed := strings.Trim(path, "/")
	if trimmed == "" {
		return nil, errors.New("no traversable path")
	}
	a := &access{method: method, path: path, parts: strings.Split(trimmed, "/"), value: value}
	if last := len(a.parts) - 1; a.parts[last] == spreadPart {
		a.parts, a.spread = a.parts[:last], true
	}
	return a, nil
}

// through walks from node on along the parts from i on, and returns what stands in its
// place afterwards: node itself where nothing changes.
func (a *access) through(node any, i int) (any, error) {
	if i == len(a.parts) {
		return node, nil
	}
	switch node := node.(type) {
	case map[string]any:
		return a.object(node, i)
	case []any:
		return a.array(node, i)
	}
	return nil, fmt.Errorf("invalid traversal path at: %s", a.until(i))
}

// until is the path up to part i.
func (a *access) until(i int) string { return strings.Join(a.parts[:i+1], "/") }

// array walks into an element. That of an array which is an element itself is no
// place to change or read anything: nothing happens there.
func (a *access) array(node []any, i int) (any, error) {
	where := "/" + a.until(i)
	at, err := elementIndex(a.parts[i])
	if err != nil {
		return nil, fmt.Errorf("[%s] invalid array index '%s': %w", where, a.parts[i], err)
	}
	if at < 0 || at >= len(node) {
		return nil, fmt.Errorf("[%s] array index out of bounds: %s", where, a.parts[i])
	}
	v, err := a.through(node[at], i+1)
	if err != nil || !a.changes() {
		return node, err
	}
	node = slices.Clone(node)
	node[at] = v
	return node, nil
}

func (a *access) changes() bool { return a.method != http.MethodGet }

// object walks into a member, or ends there or at an element of it.
func (a *access) object(node map[string]any, i int) (any, error) {
	key := a.parts[i]
	if list, ok := node[key].([]any); ok && i == len(a.parts)-2 {
		list, err := a.element(list, a.parts[i+1])
		return a.with(node, key, list), err
	}
	if i == len(a.parts)-1 {
		return a.member(node, key)
	}
	below := node[key]
	if below == nil && a.method == http.MethodPut {
		below = map[string]any{} // it makes its way
	}
	v, err := a.through(below, i+1)
	if err != nil {
		return nil, err
	}
	return a.with(node, key, v), nil
}

// with is node with another value at key.
func (a *access) with(node map[string]any, key string, value any) map[string]any {
	if !a.changes() {
		return node
	}
	node = maps.Clone(node)
	node[key] = value
	return node
}

// member is the end of a walk at an object's member.
func (a *access) member(node map[string]any, key string) (any, error) {
	v, there := node[key]
	switch a.method {
	case http.MethodGet:
		a.found = []any{v}
		return node, nil
	case http.MethodPost:
		list, ok := v.([]any)
		if !ok {
			return a.with(node, key, a.value), nil
		}
		list, err := a.appended(list)
		return a.with(node, key, list), err
	case http.MethodPut:
		if there {
			return nil, &Error{http.StatusConflict, fmt.Errorf("[%s] key already exists: %s", a.path, key)}
		}
	default:
		if !there {
			return nil, &Error{http.StatusNotFound, fmt.Errorf("[%s] key does not exist: %s", a.path, key)}
		}
	}
	if a.method == http.MethodDelete {
		node = maps.Clone(node)
		delete(node, key)
		return node, nil
	}
	return a.with(node, key, a.value), nil
}

// element is the end of a walk at an element of a member that is an array. A POST
// appends, whatever the element.
func (a *access) element(list []any, part string) ([]any, error) {
	if a.method == http.MethodPost {
		return a.appended(list)
	}
	at, err := elementIndex(part)
	if err != nil {
		return nil, fmt.Errorf("[%s] invalid array index '%s': %w", a.path, part, err)
	}
	end := len(list)
	if a.method == http.MethodPut {
		end++ // it inserts
	}
	if at < 0 || at >= end {
		return nil, fmt.Errorf("[%s] array index out of bounds: %s", a.path, part)
	}
	switch a.method {
	case http.MethodGet:
		a.found = []any{list[at]}
		return list, nil
	case http.MethodPut:
		return joined(list[:at], []any{a.value}, list[at:]), nil
	case http.MethodDelete:
		return joined(list[:at], list[at+1:]), nil
	default:
		list = slices.Clone(list)
		list[at] = a.value
		return list, nil
	}
}

// appended is list with the value, or with its elements, at its end.
func (a *access) appended(list []any) ([]any, error) {
	if !a.spread {
		return joined(list, []any{a.value}), nil
	}
	more, ok := a.value.([]any)
	if !ok {
		return nil, errors.New("final element is not an array")
	}
	return joined(list, more), nil
}

// joined is a new array, also of nothing: a nil slice would be encoded as null.
func joined(lists ...[]any) []any {
	if list := slices.Concat(lists...); list != nil {
		return list
	}
	return []any{}
}

// elementIndex reads an index, of which there is one spelling.
func elementIndex(part string) (int, error) {
	if part == "" {
		return 0, errors.New("empty index")
	}
	i, err := strconv.Atoi(part)
	if err != nil {
		return 0, err
	}
	if strconv.Itoa(i) != part {
		return 0, errors.New("non-canonical array index")
	}
	return i, nil
}
