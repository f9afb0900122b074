// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-broker/caddy-broker/module/child"
	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/parentlog"
	"github.com/caddy-broker/caddy-broker/module/internal/probe"
)

// AdapterName is the config adapter that wraps what it reads.
const AdapterName = "broker"

// object is a decoded JSON object.
type object = map[string]any

// Wrap makes the configuration of the process that supervises out of the user's. The
// user's is in it word for word, as the configuration of the child `default`; all else
// of it is derived from that: admin endpoint, storage and events are copies, the
// options of the broker are the app's, and it logs to standard error, in the level and
// format of the default log, never to a file that a child writes.
//
// The user's own is returned if it says `broker off`: nothing is supervised then.
func Wrap(d *document.Document) ([]byte, error) {
	w, err := wrap(d)
	if err != nil || w == nil {
		return d.JSON(), err
	}
	return w.text()
}

// wrapped are the parts of a parent's configuration: the user's in it, and what is
// around that.
type wrapped struct {
	user   *document.Document
	parent object
	app    object // in parent, without the child `default` and without a source
}

// wrap is nil for a configuration that is not to be supervised.
func wrap(d *document.Document) (*wrapped, error) {
	user, ok := d.Config().(object)
	if !ok && d.Config() != nil {
		var never *caddy.Config
		return nil, caddy.StrictUnmarshalJSON(d.JSON(), &never) // it says what is wrong
	}
	user, err := spelled(user, "admin", "apps", "logging", "storage")
	if err != nil {
		return nil, err
	}
	apps, _ := user["apps"].(object) // what is no object the child refuses, in Caddy's words
	app, err := appOf(apps)
	if err != nil {
		return nil, err
	}
	if off, _ := app["off"].(bool); off {
		return nil, nil
	}
	if children, _ := app["children"].(object); children[DefaultChild] != nil {
		return nil, errors.New("apps.broker.children.default: the child of that name runs the whole configuration: remove it")
	}
	listen, err := adminListen(user["admin"])
	if err != nil {
		return nil, err
	}
	app["admin_listen"] = listen
	w := &wrapped{user: d, parent: object{}, app: app}
	if admin := browsable(wrapLoader(document.WithoutIDs(user["admin"])), listen); admin != nil {
		w.parent["admin"] = admin
	}
	if storage, ok := user["storage"]; ok {
		w.parent["storage"] = document.WithoutIDs(storage)
	}
	if logging := parentlog.Logging(document.WithoutIDs(user["logging"])); logging != nil {
		w.parent["logging"] = logging
	}
	parentApps := object{"broker": app}
	if events, ok := apps["events"]; ok {
		parentApps["events"] = document.WithoutIDs(events)
	}
	w.parent["apps"] = parentApps
	return w, nil
}

// config is the user's configuration as it stands in the parent's.
func (w *wrapped) config() json.RawMessage { return document.EscapeIDs(w.user.JSON()) }

// text is the whole of it.
func (w *wrapped) text() ([]byte, error) {
	app := maps.Clone(w.app)
	children, _ := app["children"].(object)
	if children = maps.Clone(children); children == nil {
		children = object{}
	}
	children[DefaultChild] = object{"config": w.config(), "verbatim": true}
	app["children"] = children
	if w.user.Source != nil {
		app["source"] = w.user.Source
	}
	parent, apps := maps.Clone(w.parent), maps.Clone(w.parent["apps"].(object))
	apps["broker"] = app
	parent["apps"] = apps
	return json.Marshal(parent)
}

// around is all but the user's configuration: what Caddy itself has to load anew if it
// changes. Where probes stand in a file is no part of that.
func (w *wrapped) around() ([]byte, error) {
	if text, ok := probe.Unplaced(w.parent); ok {
		return text, nil
	}
	return json.Marshal(w.parent)
}

// appOf is a copy of the broker's own app among those of a user, checked.
func appOf(apps object) (object, error) {
	value, ok := apps["broker"]
	if !ok || value == nil {
		return object{}, nil
	}
	text, err := json.Marshal(document.WithoutIDs(value))
	if err != nil {
		return nil, err
	}
	checked := new(App)
	if err := caddy.StrictUnmarshalJSON(text, checked); err != nil {
		return nil, fmt.Errorf("apps.broker: %w", err)
	}
	if err := cmp.Or(probe.Check(checked.Probes), probe.Served(checked.Probes, apps["http"])); err != nil {
		return nil, fmt.Errorf("apps.broker: %w", err)
	}
	app, _ := document.WithoutIDs(value).(object)
	return spelled(app, "children", "off", "source", "admin_listen")
}

// childConfig is what the child runs of the user's configuration: nothing that is the
// parent's business, and no ids. A change of these alone does not replace the child.
func childConfig(d *document.Document) ([]byte, error) {
	config, ok := d.Config().(object)
	if !ok {
		return []byte("{}"), nil
	}
	config, err := spelled(config, "admin", "apps")
	if err != nil {
		return nil, err
	}
	text := d.JSON()
	if !maps.EqualFunc(config, d.Config().(object), func(_, _ any) bool { return true }) {
		if text, err = json.Marshal(config); err != nil {
			return nil, err
		}
	}
	return document.Without(document.Without(document.DropIDs(text), "admin"), "apps", "broker"), nil
}

// AdminOf is the address of the admin endpoint of a user's configuration, empty if there is
// none.
func AdminOf(d *document.Document) string {
	user, _ := d.Config().(object)
	user, err := spelled(user, "admin")
	if err != nil {
		return ""
	}
	listen, err := adminListen(user["admin"])
	if err != nil {
		return ""
	}
	return listen
}

// adminListen is the address of the admin endpoint, "" if there is none.
func adminListen(value any) (string, error) {
	var admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	}
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, &admin)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("admin: %w", err)
	case admin.Disabled:
		return "", nil
	case admin.Listen == "":
		return caddy.DefaultAdminListen, nil
	}
	return admin.Listen, nil
}

// spelled is a copy of an object in which members have the names by which they are
// looked up: Caddy knows those of its fields in any case.
func spelled(o object, names ...string) (object, error) {
	o = maps.Clone(o)
	return o, child.ExactNames(o, names...)
}
