// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"path"
	"strconv"
)

// IDKey is the member of an object by which requests can name it.
const IDKey = "@id"

// index collects the paths of the objects that have an id.
type index struct {
	paths map[string]string
	at    []string // the path of what is looked at
}

func (x *index) add(value any) error {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if key == IDKey {
				if err := x.name(v); err != nil {
					return err
				}
				continue
			}
			if err := x.below(key, v); err != nil {
				return err
			}
		}
	case []any:
		for i, v := range value {
			switch v.(type) {
			case map[string]any, []any:
				if err := x.below(strconv.Itoa(i), v); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (x *index) below(key string, value any) error {
	x.at = append(x.at, key)
	err := x.add(value)
	x.at = x.at[:len(x.at)-1]
	return err
}

// name notes the id of what is looked at.
func (x *index) name(value any) error {
	here := path.Join(x.at...)
	var id string
	switch value := value.(type) {
	case string:
		id = value
	case float64:
		id = fmt.Sprint(value)
	default:
		return fmt.Errorf("%s: %s field must be a string or number", here, IDKey)
	}
	if other, ok := x.paths[id]; ok {
		return fmt.Errorf("duplicate ID '%s' found at %s and %s", id, min(other, here), max(other, here))
	}
	x.paths[id] = here
	return nil
}
