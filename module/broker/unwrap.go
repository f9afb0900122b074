// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/caddy-broker/caddy-broker/module/document"
)

// Unwrap reads a configuration that is to be served. It is the user's own,
// with or without the broker's app, or that of a process that supervises, as Wrap makes
// it, as it is saved, and as earlier versions made it: then the user's is taken out of
// it, with the source that it has.
func Unwrap(text []byte) (*document.Document, error) {
	d, _, err := unwrap(text)
	return d, err
}

// Renew is what Wrap makes of a configuration that an earlier version has made; nil if
// it is none of these.
func Renew(text []byte) ([]byte, error) {
	d, former, err := unwrap(text)
	if err != nil || !former {
		return nil, err
	}
	return Wrap(d)
}

// unwrap reports, besides, whether an earlier version has made the configuration.
func unwrap(text []byte) (d *document.Document, former bool, err error) {
	d, err = document.Parse(text)
	if err != nil {
		return nil, false, err
	}
	whole, ok := d.Config().(object)
	if !ok {
		return d, false, nil
	}
	whole, err = spelled(whole, "admin", "apps")
	if err != nil {
		return nil, false, err
	}
	apps, _ := whole["apps"].(object)
	app, _ := apps["broker"].(object)
	app, err = spelled(app, "children", "source", "admin_listen")
	if err != nil {
		return nil, false, fmt.Errorf("apps.broker: %w", err)
	}
	children, _ := app["children"].(object)
	child, _ := children[DefaultChild].(object)
	child, err = spelled(child, "config", "verbatim")
	if err != nil {
		return nil, false, fmt.Errorf("apps.broker.children.default: %w", err)
	}
	if _, ok := child["config"]; !ok {
		return d, false, nil
	}
	for name := range apps {
		if !Supervising(name) {
			return nil, false, fmt.Errorf("apps.%s: a process that supervises runs no applications of its own: move it into the configuration of the child %q", name, DefaultChild)
		}
	}
	source, err := sourceIn(app["source"])
	if err != nil {
		return nil, false, err
	}
	user := document.UnescapeIDs(child["config"])
	verbatim, _ := child["verbatim"].(bool)
	if former = !verbatim; former {
		user = formerUser(whole, app, child)
	}
	d, err = document.New(user)
	if err != nil {
		return nil, false, err
	}
	return d.From(source), former, nil
}

// formerUser is the user's configuration in that of a process of earlier versions: the
// child had the applications, logs and storage, the parent its admin endpoint and the
// broker's options.
func formerUser(whole, app, child object) any {
	config, _ := child["config"].(object)
	user := maps.Clone(config)
	if user == nil {
		user = object{}
	}
	if admin, ok := whole["admin"]; ok {
		user["admin"] = admin
	}
	options := maps.Clone(app)
	delete(options, "source")
	delete(options, "admin_listen")
	children, _ := app["children"].(object)
	children = maps.Clone(children)
	delete(children, DefaultChild)
	if options["children"] = children; len(children) == 0 {
		delete(options, "children")
	}
	for key, value := range child { // options that a hand has given the child alone
		if key != "config" && key != "verbatim" {
			options[key] = value
		}
	}
	if len(options) == 0 {
		return user
	}
	apps, _ := user["apps"].(object)
	apps = maps.Clone(apps)
	if apps == nil {
		apps = object{}
	}
	apps["broker"] = options
	user["apps"] = apps
	return user
}

// formerDocument is what an app of an earlier version knows of the user's configuration:
// of the admin endpoint only where it listens.
func (a *App) formerDocument() (*document.Document, error) {
	text, err := json.Marshal(object{
		"admin": object{"listen": a.AdminListen, "disabled": a.AdminListen == ""},
		"apps":  object{"broker": App{ChildOptions: a.ChildOptions, Children: a.Children, Network: a.Network}},
	})
	if err != nil {
		return nil, err
	}
	d, err := Unwrap(text)
	if err != nil {
		return nil, err
	}
	return d.From(a.Source), nil
}

// Asks reports whether a configuration asks for supervision.
func Asks(text []byte) bool {
	d, err := document.Parse(text)
	if err != nil {
		return false
	}
	whole, _ := d.Config().(object)
	whole, err = spelled(whole, "apps")
	if err != nil {
		return false
	}
	apps, _ := whole["apps"].(object)
	value, there := apps["broker"]
	app, _ := value.(object)
	app, err = spelled(app, "off")
	off, _ := app["off"].(bool)
	return there && err == nil && !off
}

// Supervising reports whether an app runs in the process that supervises: the broker
// itself, and the events to which the user has subscribed.
func Supervising(name string) bool { return name == "broker" || name == "events" }

// sourceIn reads the source that a parent's configuration names.
func sourceIn(value any) (*document.Source, error) {
	if value == nil {
		return nil, nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	source := new(document.Source)
	if err := json.Unmarshal(text, source); err != nil {
		return nil, fmt.Errorf("apps.broker.source: %w", err)
	}
	return source, nil
}
