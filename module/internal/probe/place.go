// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/json"
	"maps"
)

// Unplaced is the text of a configuration without the places in a file where its probes
// stand: the path of the file and the lines above them say nothing of what it does. It is
// false for one that has no probes.
func Unplaced(config any) (text []byte, ok bool) {
	whole, _ := config.(map[string]any)
	apps, _ := whole["apps"].(map[string]any)
	app, _ := apps["broker"].(map[string]any)
	list, _ := app["probes"].([]any)
	if len(list) == 0 {
		return nil, false
	}
	probes := make([]any, len(list))
	for i, p := range list {
		if o, isObject := p.(map[string]any); isObject {
			o = maps.Clone(o)
			delete(o, "at")
			p = o
		}
		probes[i] = p
	}
	text, err := json.Marshal(with(whole, "apps", with(apps, "broker", with(app, "probes", probes))))
	return text, err == nil
}

// with is a copy of an object with another value of a member.
func with(o map[string]any, name string, value any) map[string]any {
	o = maps.Clone(o)
	o[name] = value
	return o
}
