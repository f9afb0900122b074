// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// changes is the one way in which the user's configuration changes.
var changes = document.NewQueue(carrier{})

// Shown is the user's configuration that serves, nil if this process supervises
// nothing. It waits for no load that is under way.
func Shown() *document.Document { return host.shown.Load() }

// Expect notes that Caddy has opened the admin endpoint of a configuration that this process
// is about to serve as its first.
func Expect(a *App) {
	if Shown() == nil {
		host.coming.Store(a)
	}
}

// Settled is what Shown is as soon as no first configuration is about to serve: until then
// it is not known whose this process's configuration is, Caddy's or the user's.
func Settled(ctx context.Context) *document.Document {
	if a := host.coming.Load(); a != nil && Shown() == nil {
		select {
		case <-a.ready:
		case <-a.ctx.Done(): // it will not start
		case <-ctx.Done():
		}
	}
	return Shown()
}

// Change changes the user's configuration and returns when the new one serves, or the
// reason why the old one goes on.
func Change(ctx context.Context, r document.Request) error {
	if a := host.deciding(); r.Change != nil && a != nil && a.former {
		return &document.Error{Status: http.StatusConflict, Err: errors.New(
			"this configuration was loaded as an earlier version has saved it, so that not all of the user's is known: load it as a whole (caddy reload, POST /load), then change it")}
	}
	defer host.generations.Sync() // who is told of a change can count on it after a crash of this process
	return changes.Do(ctx, r)
}

// pending is a load of the queue that Caddy has under way. Caddy does not tell an app
// why it is loaded, nor the loader what an app said; so they meet here.
type pending struct {
	base, next *document.Document
	config     []byte // next's text, as it is in the parent's configuration
	force      bool

	// What the claim of next finds.
	overtaken bool
	cause     error // why it cannot serve, in Caddy's own words; nil is unknown
}

// carrier makes the queue's documents serve.
type carrier struct{}

func (carrier) Current() *document.Document {
	host.catchUp()
	return Shown()
}

func (carrier) AwaitRoom() {
	c := host.child(DefaultChild)
	if c == nil {
		return
	}
	ctx, cancel := assumed.UntilExiting(context.Background(), errExiting)
	defer cancel()
	_ = c.sup.AwaitRoom(ctx) // whatever is wrong, the load says it
}

func (c carrier) Unchanged() error {
	err := servable()
	if err != nil {
		loaded(err)
	} else if serves := Shown(); host.isSubstituted() { // what is around it is another's
		return c.Load(serves, serves, true)
	} else {
		unchanged()
	}
	return err
}

// servable is why nothing would serve a configuration now, if so.
func servable() error {
	if c := host.child(DefaultChild); c != nil {
		return c.servable()
	}
	return nil
}

// Load makes next serve. What concerns the child alone needs no load of Caddy's: its
// admin endpoint stays as it is, and with it every connection to it.
func (carrier) Load(base, next *document.Document, force bool) (err error) {
	defer func() {
		if _, back := errors.AsType[rolledBackError](err); err != nil && !back && !errors.Is(err, document.ErrOvertaken) {
			loaded(err)
		}
	}()
	w, err := wrap(next)
	if err != nil {
		return fmt.Errorf("loading new config: %w", err)
	}
	if w == nil {
		if err = caddy.Load(next.JSON(), force); err == nil {
			loaded(nil)
		}
		return err
	}
	if err := servable(); err != nil {
		return err
	}
	same, err := sameAround(base, w)
	if err != nil {
		return fmt.Errorf("loading new config: %w", err)
	}
	if substituted := host.isSubstituted(); !same || substituted {
		err = w.load(&pending{base: base, next: next, config: w.config(), force: force || substituted})
	} else {
		err = inCaddysWords(host.change(base, next, w, force))
	}
	if err == nil {
		err = host.keeps(next)
	}
	return err
}

// sameAround reports whether the parent's part of a configuration is that of what serves.
func sameAround(serves *document.Document, w *wrapped) (bool, error) {
	if serves == nil {
		return false, nil
	}
	was, err := wrap(serves)
	if err != nil || was == nil {
		return false, err
	}
	a, err := was.around()
	if err != nil {
		return false, err
	}
	b, err := w.around()
	return bytes.Equal(a, b), err
}

// load lets Caddy load the configuration.
func (w *wrapped) load(p *pending) error {
	parent, err := w.text()
	if err != nil {
		return fmt.Errorf("loading new config: %w", err)
	}
	host.pending.Store(p)
	defer host.pending.Store(nil)
	switch err = caddy.Load(parent, p.force); {
	case err == nil:
		host.saveAgain(p.next)
		return nil
	case p.overtaken:
		return document.ErrOvertaken
	}
	if p.base != nil {
		restoreAdmin(p.base)
	}
	return cmp.Or(p.cause, err)
}

// restoreAdmin opens the admin endpoint of the configuration that serves: Caddy leaves
// that of a load that has failed, which may be somewhere else.
func restoreAdmin(serves *document.Document) {
	parent, err := Wrap(serves)
	if err == nil {
		err = caddy.Load(parent, true)
	}
	if err != nil {
		caddy.Log().Named("broker").Error("restoring the admin endpoint after a load that failed", zap.Error(err))
	}
}

// childLoading begins what a child says when Caddy could not load its configuration
// there: word for word what it would have said here.
const childLoading = "loading new config: "

// inCaddysWords is what Caddy would have said here of a configuration that it could not
// load there, and any other error as it is. What Caddy cannot say is added: that users
// had to wait for it.
func inCaddysWords(err error) error {
	start, ok := errors.AsType[*exits.StartError](err)
	if !ok || !strings.HasPrefix(start.Cause, childLoading) {
		return err
	}
	if errors.Is(err, supervisor.ErrStoppedFirst) {
		return fmt.Errorf("%s; %w", start.Cause, supervisor.ErrStoppedFirst)
	}
	return errors.New(start.Cause)
}
