// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Member says what a member of a JSON object is.
type Member struct {
	// Expecting is what is allowed for the value of an option; empty for other
	// members, whose errors speak for themselves.
	Expecting string
	Secret    bool
	// Named members are objects whose names are the user's own.
	Named bool
}

// Member is the option as a member of a JSON object.
func (r *Row[S]) Member() Member {
	return Member{Expecting: r.Expecting(JSONUnits), Secret: r.Secret}
}

// Decode reads a JSON object into v, a pointer to a struct type without an
// UnmarshalJSON of its own. Its errors name the option, the value and what is
// allowed. lookup finds members by their names, whose case does not count, as in
// encoding/json; its error says that there is none.
func Decode(data []byte, v any, lookup func(name string) (Member, error)) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		member, err := lookup(strings.ToLower(name))
		if err != nil {
			return err
		}
		raw := members[name]
		err = decodeMember(v, name, raw)
		switch {
		case err == nil:
		case member.Secret:
			return fmt.Errorf("option %s: the value is not allowed: expecting %s", name, member.Expecting)
		case member.Expecting != "":
			return fmt.Errorf("option %s: value %s is not allowed: expecting %s", name, shown(raw), member.Expecting)
		case member.Named:
			return fmt.Errorf("%s: %w", name, namedError(v, name, raw, err))
		default:
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// decodeMember reads one member; an unknown name in it that no lookup sees is an
// error too.
func decodeMember(v any, name string, raw json.RawMessage) error {
	object, err := json.Marshal(map[string]json.RawMessage{name: raw})
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// namedError finds which of the objects with names of their own has the error.
func namedError(v any, name string, raw json.RawMessage, err error) error {
	var objects map[string]json.RawMessage
	if json.Unmarshal(raw, &objects) != nil {
		return err
	}
	for _, own := range slices.Sorted(maps.Keys(objects)) {
		one, marshalErr := json.Marshal(map[string]json.RawMessage{own: objects[own]})
		if marshalErr != nil {
			return err
		}
		if oneErr := decodeMember(v, name, one); oneErr != nil {
			return fmt.Errorf("%s: %w", own, oneErr)
		}
	}
	return err
}

// shown is a JSON value in an error.
func shown(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return Quote(text)
	}
	return Quote(string(raw))
}
